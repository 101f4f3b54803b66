"""How a recovery reaches what the command line builds: the stack of a draft, and of a spec that is placed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from techsapo_ops.apply.outcome import Listener
from techsapo_ops.backup.recover.draft import Draft
from techsapo_ops.backup.recover.on_hosts import Hosts
from techsapo_ops.stack.stack import Stack
from techsapo_ops.watch.doctor.look import Diagnosis


@dataclass(frozen=True, slots=True)
class Prospect:
    """The stack that a draft would be on this host, before anything of it is there."""

    stack: Stack
    diagnosis: Diagnosis
    warnings: tuple[str, ...] = ()
    there: tuple[str, ...] = ()
    """What runs on this host of a stack of this name already."""
    hosts: Hosts = field(default_factory=Hosts)
    """Of a stack on several, what was seen of them."""


class Doors(Protocol):
    """How a recovery reaches what the command line builds."""

    @property
    def listener(self) -> Listener:
        """Who is told how an apply goes."""
        ...

    def prospect(self, draft: Draft, engine: str | None) -> Prospect:
        """The stack of `draft` on this host. Raises SpecError for a draft that does not hold here."""
        ...

    def open(self, file: Path, environment: str | None, engine: str | None) -> Stack:
        """The stack of the spec that was placed. Raises OpsError."""
        ...

    def gather(self, file: Path, environment: str | None, engine: str | None) -> None:
        """Let the hosts of the spec that was placed be one Swarm. Raises OpsError."""
        ...

    def install_schedule(self, file: Path, environment: str | None) -> str:
        """Let cron start the jobs; returns where they were written. Raises OpsError."""
        ...

    def remove_schedule(self, file: Path, environment: str | None) -> None:
        """Take that back."""
        ...
