"""What an analysis tells its observers. Metrics, audit and logs are made from these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from techsapo_ops.wallbounce.model import Analysis, AnalysisError, Answer, Failure, TaskType


@dataclass(frozen=True, slots=True)
class Answered:
    """A provider answered."""

    request_id: str
    task_type: TaskType
    answer: Answer


@dataclass(frozen=True, slots=True)
class Failed:
    """A provider failed."""

    request_id: str
    task_type: TaskType
    failure: Failure


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A call under way was given up, because its request ended; not the provider's fault."""

    request_id: str
    task_type: TaskType
    provider: str
    model: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Settled:
    """An analysis ended with a verdict. `agreement` is the similarity (0 to 1) by pair of provider names."""

    request_id: str
    analysis: Analysis
    agreement: tuple[tuple[tuple[str, str], float], ...]


@dataclass(frozen=True, slots=True)
class Abandoned:
    """An analysis ended without a verdict, because of `error`."""

    request_id: str
    task_type: TaskType
    error: AnalysisError


Event = Answered | Failed | Cancelled | Settled | Abandoned
Observer = Callable[[Event], None]
