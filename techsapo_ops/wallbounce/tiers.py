"""What each tier asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TaskType = Literal["basic", "premium", "critical"]
TIERS: tuple[TaskType, ...] = ("basic", "premium", "critical")


@dataclass(frozen=True, slots=True)
class TierRule:
    """How many providers answer, and the scores that an accepted answer needs (0 to 1)."""

    providers: int
    confidence: float
    consensus: float
