"""A stack in memory whose letters are backed up, and what a killed restore leaves of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fakes.memory_project import MemoryProject
from techsapo_ops.adapters.packed import PackedReader, PackedWriter
from techsapo_ops.backup.create import create_backup
from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.restore.going_back import undo_interrupted
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.backup import BackupKind, Part, Progress, Source, Trial
from techsapo_ops.stack.journal import REPLACE, Replaced, restore_journal
from techsapo_ops.stack.stack import Stack


class _Source:
    kind = "letters"

    def __init__(self, file: Path) -> None:
        self.file = file

    def take(self, folder: Path, stamp: str, progress: Progress) -> Part:
        path = folder / f"letters-{stamp}.zst"
        with PackedWriter(path, progress) as packed:
            packed.write(self.file.read_bytes())
        return Part(
            self.kind, path.name, packed.bytes, packed.raw_bytes, packed.sha256, 0.1, "Letters 1.0",
            {"text": self.file.read_text()},
        )  # fmt: skip


class Killed(BaseException):
    """In place of kill -9 in the restore: nothing of the package goes back after it, since it is not seen."""


def killed(*_: object) -> None:
    raise Killed


class Letters(BackupKind):
    """A file that the app reads."""

    name = "letters"
    title = "the letters"
    stops = ("app",)
    broken = False

    def sources(self, stack: Stack) -> Sequence[Source] | str:
        return [_Source(_file(stack))] if _file(stack).exists() else "there are no letters"

    def fits(self, facts: Mapping[str, Any]) -> bool:
        return isinstance(facts.get("text"), str)

    def describe(self, part: Part) -> str:
        return str(part.facts["text"])

    def warnings(self, part: Part) -> Sequence[str]:
        return ()

    def check(self, stack: Stack, part: Part, reader: PackedReader) -> list[str]:
        return [] if b"".join(reader).decode() == part.facts["text"] else ["another text"]

    def trial(self, stack: Stack, part: Part, reader: PackedReader, progress: Progress) -> Trial:
        return Trial(self.check(stack, part, reader), 0.5, "read aloud")

    def service(self, kind: str) -> str:
        return ""

    def present(self, stack: Stack, part: Part) -> tuple[str, str]:
        return "Letters 1.0", _file(stack).read_text()

    def bring_back(self, stack: Stack, part: Part, reader: PackedReader, progress: Progress) -> None:
        _file(stack).write_text("half")
        if self.broken:
            raise OpsError("the file is read-only", "look at the disk")
        _file(stack).write_bytes(b"".join(reader))

    def differences(self, stack: Stack, part: Part) -> list[str]:
        return [] if _file(stack).read_text() == part.facts["text"] else ["it differs"]


def _file(stack: Stack) -> Path:
    return stack.directory / "letters.txt"


@contextmanager
def with_letters(folder: Path) -> Iterator[MemoryProject]:
    """A stack in `folder` that runs, and has letters to back up."""
    folder.mkdir(exist_ok=True)
    project = MemoryProject(folder)
    project.up()
    with registry.including(Letters()):
        yield project


def write(made: MemoryProject, text: str) -> None:
    _file(made.stack()).write_text(text)


def read(made: MemoryProject) -> str:
    return _file(made.stack()).read_text()


def backup(made: MemoryProject, text: str) -> str:
    write(made, text)
    return create_backup(made.stack(), only=("letters",)).backup.id


def states(made: MemoryProject) -> dict[str, str]:
    return {name: str(seen.state) for name, seen in made.engine.observe().services.items()}


def half(made: MemoryProject, safety: str) -> Stack:
    """The stack as a kill -9 leaves it while data is replaced."""
    stack = made.stack()
    stack.engine.halt("app")
    write(made, "half")
    restore_journal(stack.layout).begin(Replaced(safety, ("letters",), ("app",)), REPLACE)
    return stack


def undo(made: MemoryProject) -> None:
    undo_interrupted(made.stack(), made.said, made.said.say)
