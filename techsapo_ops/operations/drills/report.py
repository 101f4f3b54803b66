"""The result of a drill: times next to their objectives, counts, and what was wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from pydantic import TypeAdapter

Failover = Literal["failover-app", "failover-host"]
Drill = Literal["restore", "alert", "recover", Failover]

# The guide's objectives, in seconds.
FAILOVER = 30.0
"""From the loss of an app instance or a host until users are answered again."""
DATA = 15 * 60.0
"""From the begin of a restore until all data is back; the alert DrillMissed has it in minutes."""
SERVICE = 60 * 60.0
"""Until everything runs again: an instance, or the whole stack on an empty host."""


@dataclass(frozen=True, slots=True)
class Phase:
    """How long a part took, in seconds; None where it did not end. `objective` is the longest allowed."""

    name: str
    seconds: float | None
    objective: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the objective is met; without one there is nothing to miss."""
        return self.objective is None or (self.seconds is not None and self.seconds <= self.objective)


@dataclass(frozen=True, slots=True)
class Report:
    """One drill, which took `seconds`. Each of the `problems`, a sentence, is a reason why it missed."""

    id: str
    drill: Drill
    project: str
    engine: str
    version: str
    started: datetime
    seconds: float
    phases: tuple[Phase, ...] = ()
    counts: Mapping[str, float | None] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def missed(self) -> tuple[str, ...]:
        """The phases that took too long, then the problems."""
        return (*(phase.name for phase in self.phases if not phase.ok), *self.problems)

    @property
    def ok(self) -> bool:
        """Whether everything was as it has to be."""
        return not self.missed

    def to_json(self) -> dict[str, Any]:
        """As plain data, with the verdict."""
        return {
            **asdict(self),
            "started": self.started.isoformat(timespec="milliseconds"),
            "phases": [{**asdict(phase), "ok": phase.ok} for phase in self.phases],
            "ok": self.ok,
            "missed": list(self.missed),
        }

    @staticmethod
    def from_json(text: bytes) -> Report:
        """What `to_json` made. Raises ValueError for anything else."""
        return TypeAdapter(Report).validate_json(text)
