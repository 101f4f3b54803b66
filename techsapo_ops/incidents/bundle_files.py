"""Reads the files of a bundle, which may come from a stranger.

No link in the folder is followed, no file is read beyond its size, and an error names file and line.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from techsapo_ops.adapters.folders import FOLDER
from techsapo_ops.adapters.jsons import load
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.openmetrics import OpenMetricsError
from techsapo_ops.messages import msg

MOST_BYTES: Mapping[str, int] = {
    "series": 32_000_000, "lines": 32_000_000, "changes": 4_000_000, "facts": 2_000_000, "pages": 4_000_000,
}  # fmt: skip
"""What each part of a bundle may take."""
MOST_PAGES = 100
_OBJECT = 2_000_000
"""The largest alert.json and answer.json."""
_NAMES = {"series": "metrics.om", "lines": "logs.jsonl", "changes": "changes.json", "facts": "facts.json"}
_SAID = {
    "missing": msg("is missing"),
    "unexpected_keyword_argument": msg("unknown key"),
    "string_too_long": msg("too long"),
    "too_long": msg("too long"),
    "timezone_aware": msg("must be a time with its zone, such as 2026-01-31T03:10:00Z"),
}
_HEADING = re.compile(r"#{1,6} ([^\n]+)")
_Path = tuple[int | str, ...]


@cache
def adapter_of(of: Any) -> TypeAdapter[Any]:
    """What checks and writes values of that class."""
    return TypeAdapter(of)


def checked(of: Any, value: object, place: Callable[[_Path], str]) -> Any:
    """`value` as an `of`. Raises OpsError for the first thing that is wrong, at its place."""
    try:
        return adapter_of(of).validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        cause = first.get("ctx", {}).get("error")
        where, problem = place(first["loc"]), _SAID.get(first["type"], first["msg"])
        if isinstance(cause, OpenMetricsError):
            where, problem = f"{where}:{cause.line}", cause.problem
        raise _wrong(where, problem) from None


def _wrong(where: object, problem: str) -> OpsError:
    return OpsError(msg("{where}: {problem}", where=where, problem=problem))


@dataclass(slots=True)
class Files:
    """The files in the folder `path`, opened by its descriptor."""

    path: Path
    descriptor: int
    texts: dict[str, str] = field(default_factory=dict)
    """What was read, by the file's name: for the line of what is wrong."""
    pages: list[str] = field(default_factory=list)
    """The file of each part of a page."""

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[Files]:
        """The folder `path`. Raises OpsError where it can't be read."""
        try:
            descriptor = os.open(path, FOLDER)
        except OSError as error:
            raise OpsError(
                msg("cannot read {path}: {strerror}", path=path, strerror=error.strerror)
            ) from None
        try:
            yield cls(path, descriptor)
        finally:
            os.close(descriptor)

    def material(self) -> dict[str, Any]:
        """All files but the answer as the JSON of a Material, not yet checked."""
        alert = self.json("alert.json")
        if not isinstance(alert, dict):
            problem = msg("is missing") if alert is None else msg("must be an object")
            raise _wrong(self.path / "alert.json", problem)
        if several := set(alert) & set(MOST_BYTES):
            raise _wrong(self.path / "alert.json", msg("{key} has a file of its own", key=min(several)))
        parts = {part: self.json(_NAMES[part], MOST_BYTES[part]) for part in ("changes", "facts")}
        parts["series"] = self._text("metrics.om", MOST_BYTES["series"])
        parts["lines"] = list(self._lines())
        parts["pages"] = list(self._pages())
        return alert | {part: value for part, value in parts.items() if value is not None}

    def json(self, name: str, most: int = _OBJECT) -> Any:
        """The value in a file; None where there is no such file."""
        text = self._text(name, most)
        if text is None:
            return None
        try:
            return load(text)
        except ValueError as error:
            line = getattr(error, "lineno", 1)
            raise _wrong(f"{self.path / name}:{line}", msg("not valid JSON")) from None
        except RecursionError:
            raise _wrong(self.path / name, msg("not valid JSON")) from None

    def place(self, path: _Path) -> str:
        """File and line of the value at `path` in what `material` returned."""
        part, *rest = path
        if part == "pages" and rest:
            return str(self.path / self.pages[int(rest[0])])
        if part not in _NAMES:
            return self.place_in("alert.json")(path)
        file = self.path / _NAMES[str(part)]
        if not rest:
            return str(file)
        number = int(rest[0])
        line = number + 1 if part == "lines" else _line_of_item(self.texts[file.name], number)
        return ": ".join([f"{file}:{line}", *_dotted(rest[1:])])

    def place_in(self, name: str) -> Callable[[_Path], str]:
        """Names file and line of the value at a path in the object of the file `name`."""

        def place(path: _Path) -> str:
            keys = [key for key in path if isinstance(key, str)]
            found = [
                re.search(rf'^\s*"{re.escape(key)}"\s*:', self.texts[name], re.MULTILINE) for key in keys
            ]
            starts = [match.end() for match in found if match]
            line = self.texts[name].count("\n", 0, starts[-1]) + 1 if starts else 1
            return ": ".join([f"{self.path / name}:{line}", *_dotted(path)])

        return place

    def _lines(self) -> Iterator[Any]:
        text = self._text("logs.jsonl", MOST_BYTES["lines"]) or ""
        for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), 1):
            try:
                yield load(line)
            except (ValueError, RecursionError):
                raise _wrong(f"{self.path / 'logs.jsonl'}:{number}", msg("not valid JSON")) from None

    def _pages(self) -> Iterator[dict[str, str]]:
        room = MOST_BYTES["pages"]
        for kind in ("runbook", "knowledge"):
            for name in self._names(kind):
                path = f"pages/{kind}/{name}"
                text = self._text(path, room) or ""
                room -= len(text.encode())
                for heading, section in sections(text):
                    self.pages.append(path)
                    yield {"kind": kind, "file": name, "heading": heading, "text": section}

    def _names(self, kind: str) -> list[str]:
        """The Markdown files of one kind of pages."""
        try:
            with self._folder(("pages", kind)) as folder:
                names = sorted(name for name in os.listdir(folder) if name.endswith(".md"))  # noqa: PTH208
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _wrong(self.path / "pages" / kind, error.strerror or "") from None
        if len(names) > MOST_PAGES:
            raise _wrong(self.path / "pages" / kind, msg("more than {most} files", most=MOST_PAGES))
        return names

    def _text(self, name: str, most: int) -> str | None:
        """The text of a file of at most `most` bytes; None where there is no such file."""
        *folders, last = name.split("/")
        try:
            with self._folder(folders) as folder:
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                with os.fdopen(os.open(last, flags, dir_fd=folder), "rb") as file:
                    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                        raise _wrong(self.path / name, msg("is not a regular file"))
                    content = file.read(most + 1)
            if len(content) > most:
                raise _wrong(self.path / name, msg("larger than {most} bytes", most=most))
            self.texts[name] = content.decode()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _wrong(self.path / name, error.strerror or "") from None
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            raise _wrong(f"{self.path / name}:{line}", msg("not UTF-8 text")) from None
        return self.texts[name]

    @contextmanager
    def _folder(self, names: Sequence[str]) -> Iterator[int]:
        """A folder in the bundle, reached without following a link."""
        descriptors = [self.descriptor]
        try:
            for name in names:
                descriptors.append(os.open(name, FOLDER | os.O_NOFOLLOW, dir_fd=descriptors[-1]))
            yield descriptors[-1]
        finally:
            for descriptor in descriptors[1:]:
                os.close(descriptor)


def sections(text: str) -> Iterator[tuple[str, str]]:
    """The parts of a Markdown text, each with its heading; what a fence encloses has no headings."""
    heading, lines, fenced = "", list[str](), False
    for line in text.split("\n"):
        fenced ^= line.lstrip().startswith("```")
        if not fenced and (match := _HEADING.match(line)):
            if any(lines):
                yield heading, "\n".join(lines).strip()
            heading, lines = match[1].strip(" #"), []
        else:
            lines.append(line)
    if any(lines):
        yield heading, "\n".join(lines).strip()


def _dotted(path: Sequence[int | str]) -> list[str]:
    return [".".join(map(str, path))] if path else []


def _line_of_item(text: str, number: int) -> int:
    """The line on which an entry of a list begins."""
    decoder, position = json.JSONDecoder(), text.index("[") + 1
    space = re.compile(r"[\s,]*")
    for _ in range(number):
        match = space.match(text, position)
        _, position = decoder.raw_decode(text, match.end() if match else position)
    match = space.match(text, position)
    return text.count("\n", 0, match.end() if match else position) + 1
