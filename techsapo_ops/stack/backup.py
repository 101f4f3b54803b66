"""What every source of a backup is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from techsapo_ops.adapters.process import Command, Completed, Runner
from techsapo_ops.backup.manifest import Part

Progress = Callable[[int], None]
"""Told how many bytes of a source are done."""


class Source(Protocol):
    """One thing that is backed up. A new kind of data is a new module with one of these."""

    @property
    def kind(self) -> str:
        """Names it on the command line and in the manifest."""
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
