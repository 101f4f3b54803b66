"""What a backup is made of: parts, what takes them, and the way to a server for its own programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from techsapo_ops.adapters.disk import human
from techsapo_ops.adapters.process import Command, Completed, Runner
from techsapo_ops.messages import msg

Progress = Callable[[int], None]
"""Told how many bytes of a source are done."""
Unit = Literal["rows", "keys", "bytes"]


@dataclass(frozen=True, slots=True)
class Amount:
    """How much data there is."""

    unit: Unit
    count: int

    def __str__(self) -> str:
        if self.unit == "rows":
            return msg("{count:,} rows", count=self.count)
        return msg("{count:,} keys", count=self.count) if self.unit == "keys" else human(self.count)


@dataclass(frozen=True, slots=True)
class Part:
    """One source's file in a backup.

    `bytes` and `sha256` are those of the packed file, `raw_bytes` what it holds. `facts` were asked of the
    server at the moment of the dump, not read from the file; their keys are the source's own.
    """

    kind: str
    file: str
    bytes: int
    raw_bytes: int
    sha256: str
    seconds: float
    server: str = ""
    """Name and version of the server that was dumped."""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """The word that `--only` knows it by: `sqlite` of `sqlite:app-2`."""
        return self.kind.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Shrink:
    """One source that shrank: `now` `unit`s, where the backup `than` had `before`."""

    source: str
    unit: Unit
    before: int
    now: int
    than: str

    def __str__(self) -> str:
        return msg(
            "{source} shrank: it has {now}, and had {before} in {than}",
            source=self.source,
            now=Amount(self.unit, self.now),
            before=Amount(self.unit, self.before),
            than=self.than,
        )


class Source(Protocol):
    """One thing that is backed up."""

    @property
    def kind(self) -> str:
        """Names it in the manifest: that of its BackupKind, or `KIND:INSTANCE` where that has several."""
        ...

    def take(self, folder: Path, stamp: str, progress: Progress) -> Part:
        """Write its file into `folder` and return what it is. Raises OpsError; a file may then be left."""
        ...


@dataclass(frozen=True, slots=True)
class Door:
    """The way to one server for its own client programs.

    `enter` makes a command run where the server can be reached; `options` and `env` log the client in.
    """

    runner: Runner
    enter: Callable[[Command], Command] = lambda command: command
    options: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)

    def command(self, program: str, *arguments: str, stdin: bytes | None = None) -> Command:
        """The call of a client program, logged in."""
        return self.enter(Command((program, *self.options, *arguments), self.env, stdin))

    def run(
        self, program: str, *arguments: str, stdin: bytes | None = None, timeout: float = 60.0
    ) -> Completed:
        """Run a client program to its end."""
        return self.runner.run(self.command(program, *arguments, stdin=stdin), timeout=timeout)
