"""The bundle: what is in it, each item bounded and scrubbed, and the archive that it becomes."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from techsapo_ops.adapters.nofollow import NoFollowFile
from techsapo_ops.adapters.process import Command, Runner
from techsapo_ops.adapters.questions import at_once
from techsapo_ops.adapters.terminal import REPLACED, harmless
from techsapo_ops.adapters.written import read_manifest
from techsapo_ops.backup.kinds.secret_files import secret_paths
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.engine import Recorded
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.stack import Stack
from techsapo_ops.watch.secrets import Scrubber

MOST_BYTES = 512 * 1024
"""Of one item; of a longer one the end is kept, as of a log."""
MOST_IN_ALL = 20 * 1024 * 1024
_MOST_FILES = 500
_LINES = 400
_LONGEST = MOST_BYTES // 8
"""Characters of a log's line."""
_CUT = "[the beginning was left out]\n"
_SECONDS = 60.0
_PLAIN = frozenset({"state.json", "stopped.json", "maintenance.json", "format"})
"""Notes in the state directory itself."""


@dataclass(frozen=True, slots=True)
class Item:
    """One file of the bundle, scrubbed."""

    name: str
    text: str
    what: str

    @property
    def content(self) -> bytes:
        """As it is written."""
        return self.text.encode(errors="backslashreplace")

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.content)


@dataclass(frozen=True, slots=True)
class Sources:
    """What a bundle is made from. `stack` is None where the spec can't be read.

    `commands` are commands of techsapo by the name of the item that has what they say; `techsapo` starts it.
    """

    layout: Layout
    recorded: Recorded
    stack: Stack | None
    runner: Runner
    commands: Mapping[str, tuple[str, ...]]
    techsapo: tuple[str, ...]

    def collect(self, scrubber: Scrubber) -> tuple[Item, ...]:
        """Every item, scrubbed and bounded. What can't be read says why in its place."""
        items: list[Item] = []
        left = MOST_IN_ALL
        for name, what, text in _texts(self):
            item = Item(name, scrubber.scrub(_bounded(text)), what)
            if item.size > left:
                item = Item(name, "left out: the bundle has reached its size\n", what)
            left -= item.size
            items.append(item)
        masked = ", ".join(f"{count} {kind}" for kind, count in scrubber.counts.items() if count) or "none"
        listing = "".join(f"{item.size:>9}  {item.name}  ({item.what})\n" for item in items)
        return (Item("contents.txt", f"Masked: {masked}.\n\n{listing}", "this list"), *items)


def write(path: Path, items: Sequence[Item]) -> int:
    """Write the archive, 0600, and return its size. Raises OpsError where something is there already."""
    # Links on the way are the caller's own choice; one in the file's place is not followed.
    target = NoFollowFile(path.absolute().parent.resolve() / path.name)
    if target.look() is not None:
        raise OpsError(msg("{path} already exists", path=path), msg("choose another name"))
    with tempfile.TemporaryFile() as file:
        _archive(file, path.name.removesuffix(".tar.gz"), items)
        size = file.tell()
        file.seek(0)
        target.put(file, 0o600)
    return size


def _archive(file: IO[bytes], folder: str, items: Sequence[Item]) -> None:
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for item in items:
            content = item.content
            entry = tarfile.TarInfo(f"{folder}/{item.name}")
            entry.size, entry.mode, entry.mtime = len(content), 0o600, int(time.time())
            archive.addfile(entry, io.BytesIO(content))


def _texts(sources: Sources) -> Iterator[tuple[str, str, str]]:
    """Name, what it is, and text of each item, not scrubbed yet."""
    yield from _said(sources)
    layout = sources.layout
    for path in _files(layout.config, _secrets(sources)):
        yield f"generated/{_plain(path.relative_to(layout.config))}", "a generated file", _read(path)
    for path in _notes(layout):
        name = f"notes/{_plain(path.relative_to(layout.state))}"
        yield name, "a note or journal of techsapo", _read(path)
    yield from _logs(sources.recorded)
    supervisor = layout.logs / "supervisord.log"
    if supervisor.is_file():
        yield "logs/supervisord.log", "its last lines", _read(supervisor)


def _said(sources: Sources) -> Iterator[tuple[str, str, str]]:
    """What commands of techsapo say, each in a process of its own, all at once."""
    asked: dict[str, Callable[[], str]] = {
        name: lambda words=words: _say(sources, words)  # type: ignore[misc] # bound per command
        for name, words in sources.commands.items()
    }
    for name, output in at_once(asked, _SECONDS + 5).items():
        words = " ".join(sources.commands[name])
        yield name, f"techsapo {words}", output if isinstance(output, str) else f"not available: {output}\n"


def _say(sources: Sources, words: tuple[str, ...]) -> str:
    argv = (*sources.techsapo, *words, "--file", str(sources.layout.spec_file))
    done = sources.runner.run(Command(argv, {"NO_COLOR": "1"}), timeout=_SECONDS)
    said = done.stdout.decode(errors="replace")
    if errors := done.stderr.decode(errors="replace").strip():
        said += f"\n--- stderr, exit code {done.code}\n{errors}\n"
    return said


def _secrets(sources: Sources) -> frozenset[Path]:
    """Files and folders below the generated ones that hold secrets."""
    layout = sources.layout
    paths = {layout.secrets, layout.config / "docker" / "secrets"}
    if sources.stack is not None:
        paths.update(secret_paths(sources.stack))
    try:
        written = read_manifest(layout.config).files
    except OpsError:
        return frozenset({layout.config})  # which of them hold one is not known
    return frozenset(paths | {layout.config / name for name, each in written.items() if each.secret})


def _files(folder: Path, without: frozenset[Path]) -> Iterator[Path]:
    """Regular files below `folder`, sorted; no link is followed."""
    count = 0
    for place, folders, names in os.walk(folder):
        here = Path(place)
        if here in without:
            folders.clear()
            continue
        folders.sort()
        for name in sorted(names):
            if here / name not in without and count < _MOST_FILES:
                count += 1
                yield here / name


def _notes(layout: Layout) -> Iterator[Path]:
    yield from (layout.state / name for name in sorted(_PLAIN) if (layout.state / name).is_file())
    ledger = sorted((layout.state / "ledger").glob("*.json"))
    yield from ledger[-10:]
    yield from sorted(layout.journal.glob("*.json"))


def _logs(recorded: Recorded) -> Iterator[tuple[str, str, str]]:
    """The last lines of each service."""
    try:
        names = recorded.log_names(())
    except OpsError as error:
        yield "logs/unknown.txt", "why there are no logs", f"{error.message}\n"
        return
    for name in names:
        try:
            text = "".join(_line(line.text) for line in recorded.logs((name,), lines=_LINES))
        except OpsError as error:
            text = f"not available: {error.message}\n"
        yield f"logs/{name}.log", f"its last {_LINES} lines", text


def _plain(path: Path) -> str:
    """A path for a list with one line each: it may hold a line break, or be no text at all."""
    return harmless(os.fsencode(path).decode("utf-8", "backslashreplace")).replace("\n", REPLACED)


def _line(text: str) -> str:
    """A line of a log. A very long one would take the place of all others, and half of it could be half of a
    secret.
    """
    return f"{text}\n" if len(text) <= _LONGEST else f"[a line of {len(text)} characters was left out]\n"


def _read(path: Path) -> str:
    """The end of a file; why not, where it can't be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                return "left out: it is not a regular file\n"
            if facts.st_size > MOST_BYTES:
                file.seek(facts.st_size - MOST_BYTES)
            return file.read(MOST_BYTES).decode("utf-8", "replace")
    except OSError as error:
        return f"not available: {error.strerror}\n"


def _bounded(text: str) -> str:
    if len(text) <= MOST_BYTES:
        return text
    # From the next whole line: half a secret would not be known as one.
    return _CUT + text[-MOST_BYTES:].partition("\n")[2]
