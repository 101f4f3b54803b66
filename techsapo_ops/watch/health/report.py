"""What a health check found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from techsapo_ops.services.alertmanager.acknowledging import Acknowledgement
from techsapo_ops.stack.health import HealthPart, PartStatus


class Status(StrEnum):
    """State of the whole stack."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    """It answers, but something is wrong."""
    DOWN = "down"
    """It does not answer, or is about to stop."""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """All parts, how long the whole check took in seconds, and who has which alert that fires."""

    probes: tuple[HealthPart, ...]
    seconds: float
    acknowledged: tuple[Acknowledgement, ...] = ()
    firing: tuple[str, ...] = ()
    """The alerts that fire and nobody has."""
    unreachable: Mapping[str, str] = field(default_factory=dict)
    """By name the machines that could not be reached, and why."""

    @property
    def status(self) -> Status:
        """down when all parts of one vital kind are down; degraded when any part fails."""
        vital = {p.kind for p in self.probes if p.vital}
        if any(all(p.status is PartStatus.DOWN for p in self.probes if p.kind == kind) for kind in vital):
            return Status.DOWN
        return Status.DEGRADED if self.failing else Status.HEALTHY

    @property
    def asked(self) -> tuple[HealthPart, ...]:
        """The parts without those that were not asked, as their machine can't be reached."""
        return tuple(p for p in self.probes if not p.away)

    def count_on(self, machine: str) -> int:
        """How many services of a machine that can't be reached were not asked."""
        return sum(p.away == machine for p in self.probes)

    @property
    def failing(self) -> tuple[HealthPart, ...]:
        """The parts that are degraded or down."""
        return tuple(p for p in self.probes if p.failing)
