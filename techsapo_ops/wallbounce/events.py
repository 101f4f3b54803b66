"""What an analysis tells its observers. Metrics, audit and logs are made from these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from techsapo_ops.wallbounce.analysis import Analysis, AnalysisError
from techsapo_ops.wallbounce.answers import Answer, Grades, Tokens
from techsapo_ops.wallbounce.providers.failures import Failure
from techsapo_ops.wallbounce.question import TaskType
from techsapo_ops.wallbounce.verdict.next_step import Bounce, Escalation

Phase = Literal["answer", "grade", "revise"]


@dataclass(frozen=True, slots=True)
class Charge:
    """A call that has ended, as it is booked. `status` is success, cut_off or the kind of the failure.

    `cost_usd` is None where the call was cut off, `seconds` what it took.
    """

    provider: str
    model: str
    phase: Phase
    status: str
    cost_usd: float | None
    tokens: Tokens
    seconds: float


@dataclass(frozen=True, slots=True)
class _OfAnalysis:
    """What holds for most events: the request and the tier of its analysis."""

    request_id: str
    task_type: TaskType


@dataclass(frozen=True, slots=True)
class Began(_OfAnalysis):
    """The providers named are asked to answer, to grade others, or to revise claims that are contested.

    The first event of an analysis: nothing stands in its way any more. A phase begins again where the tier is
    stepped up, and gradings after a bounce.
    """

    phase: Phase
    providers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answered(_OfAnalysis):
    """A provider answered, or revised its answer. Whether a revision counts comes later."""

    answer: Answer
    phase: Phase = "answer"


@dataclass(frozen=True, slots=True)
class Failed(_OfAnalysis):
    """A provider failed, when it was to answer, to grade or to revise."""

    failure: Failure
    phase: Phase = "answer"


@dataclass(frozen=True, slots=True)
class SatIn(_OfAnalysis):
    """A `spare` answers in the place of the provider that failed, within the same tier."""

    failure: Failure
    spare: str


@dataclass(frozen=True, slots=True)
class Graded(_OfAnalysis):
    """A provider graded others; `subjects` are their names, along `grades.grades`."""

    grades: Grades
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AskedAgain(_OfAnalysis):
    """A provider is asked once more for what its grades lack; `subjects` are whose answers they are of."""

    provider: str
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bounced(_OfAnalysis):
    """A round of contested claims with one provider is over."""

    bounce: Bounce


@dataclass(frozen=True, slots=True)
class Escalated(_OfAnalysis):
    """The analysis stepped up a tier; the providers named join it blind."""

    escalation: Escalation


@dataclass(frozen=True, slots=True)
class Cancelled(_OfAnalysis):
    """A call under way was given up, because its request ended; not the provider's fault."""

    provider: str
    model: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Charged(_OfAnalysis):
    """A call that somebody pays for has ended: one attempt at a vendor."""

    charge: Charge


@dataclass(frozen=True, slots=True)
class Settled:
    """An analysis ended with a verdict. `agreement` (0 to 1) by pair of provider names.

    It is the mean share of claims that the two entail of each other.
    """

    request_id: str
    analysis: Analysis
    agreement: tuple[tuple[tuple[str, str], float], ...]


@dataclass(frozen=True, slots=True)
class Abandoned(_OfAnalysis):
    """An analysis ended without a verdict, because of `error`."""

    error: AnalysisError


Event = (
    Began
    | Answered
    | Failed
    | SatIn
    | Graded
    | AskedAgain
    | Bounced
    | Escalated
    | Cancelled
    | Charged
    | Settled
    | Abandoned
)
Observer = Callable[[Event], None]
