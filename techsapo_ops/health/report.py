"""What a health check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """State of the whole stack."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    """It answers, but something is wrong."""
    DOWN = "down"
    """It does not answer, or is about to stop."""


class PartStatus(StrEnum):
    """State of one part."""

    HEALTHY = "healthy"
    STARTING = "starting"
    """Not known yet, such as a target before its first scrape; no fault."""
    DEGRADED = "degraded"
    DOWN = "down"
    ABSENT = "absent"
    """Not part of the stack; no fault."""


@dataclass(frozen=True, slots=True)
class Part:
    """One probed part; `seconds` is how long its probe took, None where there was nothing to ask.

    `vital` says that the stack is down when this part is (of the app's instances: when all are).
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

    @property
    def failing(self) -> bool:
        """Whether this part alone makes the stack less than healthy."""
        return self.status in {PartStatus.DEGRADED, PartStatus.DOWN}


@dataclass(frozen=True, slots=True)
class HealthReport:
    """All parts, and how long the whole check took in seconds."""

    probes: tuple[Part, ...]
    seconds: float

    @property
    def status(self) -> Status:
        """down when no app instance answers or another vital part is down; degraded when any part fails."""
        instances = [p for p in self.probes if p.kind == "app"]
        gone = bool(instances) and all(p.status is PartStatus.DOWN for p in instances)
        if gone or any(p.vital and p.status is PartStatus.DOWN for p in self.probes if p.kind != "app"):
            return Status.DOWN
        return Status.DEGRADED if self.failing else Status.HEALTHY

    @property
    def failing(self) -> tuple[Part, ...]:
        """The parts that are degraded or down."""
        return tuple(p for p in self.probes if p.failing)
