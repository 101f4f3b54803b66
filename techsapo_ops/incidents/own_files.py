"""The team's own text files: which they are, and the parts that their headings cut them into.

Whoever may write one of them need not be trusted: a link leads nowhere outside the folder that the spec
names, and a file is bounded before it is read.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from techsapo_ops.adapters.terminal import harmless
from techsapo_ops.incidents.material import Page
from techsapo_ops.messages import msg
from techsapo_ops.spec.user_path import user_path

MOST_FILES = 5_000
LARGEST = 1 << 20
"""Bytes of a file."""
LONGEST = 1_500
"""Characters of a part: a longer one is cut between lines."""
LONGEST_NAME = 200
"""Characters of a file's name and of a heading."""
NO_TEXT = msg("no text")
"""Why a picture is left out, which nobody needs to be told."""
_MAGIC = re.compile(r"[*?\[]")
_MARKDOWN = frozenset({".md", ".markdown"})
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_NO_TITLE = re.compile(r"[ \t]*$|[ \t]*[-*+>|]|[ \t]*\d+[.)][ \t]| {4}|\t")
"""A line that is no paragraph: below it dashes are a rule."""


class NotRead(Exception):
    """A file is left out; its text says why."""


@dataclass(frozen=True, slots=True)
class OwnFile:
    """A file by the name that cites it, relative to the spec's folder; it may not lead out of `root`."""

    name: str
    path: Path
    root: Path

    def stamp(self) -> tuple[int, int]:
        """Size, and when content, owner or mode last changed, in nanoseconds. Raises NotRead."""
        try:
            facts = self.path.stat()
        except OSError as error:
            raise NotRead(error.strerror) from None
        _require_small_file(facts)
        return facts.st_size, facts.st_ctime_ns

    def text(self) -> str:
        """All of it. Raises NotRead for what is no text in UTF-8, and where a link leads elsewhere."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
            with os.fdopen(descriptor, "rb") as file:
                _require_small_file(os.fstat(descriptor))
                # What was opened is asked, not its path: that may be a link to somewhere else by now.
                real = Path(f"/proc/self/fd/{descriptor}").readlink()
                if not real.is_relative_to(self.root.resolve()):
                    raise NotRead(msg("a link that leads out of its folder"))
                content = file.read(LARGEST)
        except OSError as error:
            raise NotRead(error.strerror) from None
        if b"\0" in content:
            raise NotRead(NO_TEXT)
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise NotRead(msg("not UTF-8 text")) from None


def _require_small_file(facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise NotRead(msg("not a regular file"))
    if facts.st_size > LARGEST:
        raise NotRead(msg("larger than 1 MB"))


def own_files(patterns: Sequence[str], folder: Path) -> tuple[dict[str, OwnFile], list[str]]:
    """The files of `patterns` by their names, and those patterns that match none.

    A folder stands for all that is in it and not hidden. Relative patterns begin in `folder`, the spec's.
    """
    files: dict[str, OwnFile] = {}
    vain = []
    for pattern in patterns:
        matching = list(islice(_matching(user_path(pattern, folder)), MOST_FILES + 1))  # one too many is said
        for root, path in matching:
            name = str(path.relative_to(folder) if path.is_relative_to(folder) else path)
            cited = harmless(" ".join(name.split()))[-LONGEST_NAME:]
            files.setdefault(cited, OwnFile(cited, path, root))
        if not matching:
            vain.append(pattern)
    return files, vain


def _matching(path: Path) -> Iterator[tuple[Path, Path]]:
    """The files of one pattern, in order, with the folder that each may not lead out of."""
    plain = next((n for n, part in enumerate(path.parts) if _MAGIC.search(part)), len(path.parts))
    root, rest = Path(*path.parts[:plain]), "/".join(path.parts[plain:])
    if rest:
        for each in sorted(root.glob(rest)):
            if not any(part.startswith(".") for part in each.relative_to(root).parts) and not each.is_dir():
                yield root, each
    elif root.is_dir():
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                if not name.startswith("."):
                    yield root, Path(folder, name)
    elif root.exists():
        yield root.parent, root


def parts_of(name: str, text: str) -> Iterator[Page]:
    """The parts of the file `name`: of Markdown one for each heading, of other text one for each `LONGEST`.

    A heading is cited with those above it: `Redis > Memory full`.
    """
    sections = _sections(text) if Path(name).suffix.lower() in _MARKDOWN else [("", text.splitlines())]
    for heading, lines in sections:
        for part in _cut(lines):
            yield Page("knowledge", name, " ".join(harmless(heading).split())[:LONGEST_NAME], harmless(part))


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """Headings with the lines below each. In a block of code and in front matter there are none."""
    above: list[tuple[int, str]] = []
    lines: list[str] = []
    fence = ""
    for row in _without_front_matter(text.splitlines()):
        if (mark := _FENCE.match(row)) is not None and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        heading = _HEADING.match(row) if not fence else None
        below = _UNDERLINE.match(row) if not fence and lines and not _NO_TITLE.match(lines[-1]) else None
        if heading is None and below is None:
            lines.append(row)
            continue
        if heading is not None:
            level, title = len(heading[1]), row[heading.end() :][: 2 * LONGEST_NAME].rstrip(" \t#")
        else:
            level, title = 1 if "=" in row else 2, lines.pop()
        yield _cited(above), lines
        above = [*(each for each in above if each[0] < level), (level, title.strip())]
        lines = []
    yield _cited(above), lines


def _cited(above: Sequence[tuple[int, str]]) -> str:
    return " > ".join(title for _, title in above if title)


def _without_front_matter(rows: list[str]) -> list[str]:
    if rows and rows[0].rstrip() == "---" and "---" in (rest := [row.rstrip() for row in rows[1:]]):
        return rows[rest.index("---") + 2 :]
    return rows


def _cut(lines: Sequence[str]) -> Iterator[str]:
    """`lines` in parts of at most LONGEST characters; what has no text in it is left out."""
    part: list[str] = []
    length = 0
    for line in lines:
        for start in range(0, max(len(line), 1), LONGEST):
            piece = line[start : start + LONGEST]
            if length + len(piece) + 1 > LONGEST or (not piece.strip() and length > LONGEST * 2 // 3):
                yield from _full(part)
                part, length = [], 0
            part.append(piece)
            length += len(piece) + 1
    yield from _full(part)


def _full(part: Sequence[str]) -> Iterator[str]:
    if text := "\n".join(part).strip():
        yield text
