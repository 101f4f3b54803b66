"""What was found when a part of a stack, or this host, was asked how it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PartStatus(StrEnum):
    """State of one part."""

    HEALTHY = "healthy"
    STARTING = "starting"
    """Not known yet, such as a target before its first scrape; no fault."""
    DEGRADED = "degraded"
    DOWN = "down"
    ABSENT = "absent"
    """Not part of the stack; no fault."""
    UNTESTED = "untested"
    """Nobody knows, since it was not tried; no fault."""


@dataclass(frozen=True, slots=True)
class HealthPart:
    """One probed part; `seconds` is how long its probe took, None where there was nothing to ask.

    `vital` says that the stack is down when this part is; of several of one kind: when all are.
    """

    name: str
    kind: str
    status: PartStatus
    detail: str
    seconds: float | None = None
    hint: str = ""
    vital: bool = False
    build: str | None = None
    """Which build of this package it says that it runs, see adapters.build."""
    outdated: bool = False
    """Whether another build is installed: it works, and `techsapo up` restarts it."""

    away: str = ""
    """The machine that it is on, where that can't be reached and it was not asked."""
    sole: bool | None = None
    """Whether it has what one of its kind alone may have, see Role; None where there is no such."""

    @property
    def failing(self) -> bool:
        """Whether this part alone makes the stack less than healthy."""
        return self.status in {PartStatus.DEGRADED, PartStatus.DOWN}


@dataclass(frozen=True, slots=True)
class Role:
    """A role in words; "" where nothing was said of it."""

    words: str = ""
    wrong: bool = False
    """It answers, and is not what it should be: a replica without its master, a member without a quorum."""
    sole: bool | None = None
    """Whether it has what one of its kind alone may have, such as the master's place; None: there is none."""


class Level(StrEnum):
    """How a finding counts; only `missing` keeps the stack from being complete."""

    OK = "ok"
    NOTE = "note"
    """Good to know."""
    WARNING = "warning"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class HostFinding:
    """One fact about the host; `remedy` says what to do, `package` is the Debian package that helps."""

    topic: str
    name: str
    level: Level
    detail: str
    remedy: str = ""
    package: str | None = None


@dataclass(frozen=True, slots=True)
class HostReport:
    """What an engine finds of its own needs; `ports` are those of this host that lead into its containers."""

    findings: tuple[HostFinding, ...]
    ports: frozenset[int] = frozenset()
