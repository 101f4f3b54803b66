"""What a health check found."""

from __future__ import annotations

from dataclasses import dataclass
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

    @property
    def status(self) -> Status:
        """down when all parts of one vital kind are down; degraded when any part fails."""
        vital = {p.kind for p in self.probes if p.vital}
        if any(all(p.status is PartStatus.DOWN for p in self.probes if p.kind == kind) for kind in vital):
            return Status.DOWN
        return Status.DEGRADED if self.failing else Status.HEALTHY

    @property
    def failing(self) -> tuple[HealthPart, ...]:
        """The parts that are degraded or down."""
        return tuple(p for p in self.probes if p.failing)
