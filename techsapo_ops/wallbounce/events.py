"""What an analysis tells its observers. Metrics, audit and logs are made from these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from techsapo_ops.wallbounce.analysis import Analysis, AnalysisError
from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.bills import Bill
from techsapo_ops.wallbounce.bounce import Bounce
from techsapo_ops.wallbounce.escalation import Escalation
from techsapo_ops.wallbounce.failures import Failure
from techsapo_ops.wallbounce.grades import Grades
from techsapo_ops.wallbounce.tiers import TaskType

Phase = Literal["answer", "grade", "revise"]


@dataclass(frozen=True, slots=True)
class Asked:
    """The providers named are asked: those of the tier first, others where it is stepped up.

    The first event of an analysis: nothing stands in its way any more.
    """

    request_id: str
    task_type: TaskType
    providers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """A provider answered."""

    request_id: str
    task_type: TaskType
    answer: Answer


@dataclass(frozen=True, slots=True)
class Failed:
    """A provider failed, when it was to answer, to grade or to revise."""

    request_id: str
    task_type: TaskType
    failure: Failure
    phase: Phase = "answer"


@dataclass(frozen=True, slots=True)
class Grading:
    """The providers named are asked to grade others, or to grade them again after a bounce."""

    request_id: str
    task_type: TaskType
    providers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SatIn:
    """A `spare` answers in the place of the provider that failed, within the same tier."""

    request_id: str
    task_type: TaskType
    failure: Failure
    spare: str


@dataclass(frozen=True, slots=True)
class Graded:
    """A provider graded others; `subjects` are their names, along `grades.grades`."""

    request_id: str
    task_type: TaskType
    grades: Grades
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bouncing:
    """Contested claims go back to the providers named."""

    request_id: str
    task_type: TaskType
    providers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AskedAgain:
    """A provider is asked once more for what its grades lack; `subjects` are whose answers they are of."""

    request_id: str
    task_type: TaskType
    provider: str
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Revised:
    """A provider answered once more, knowing what is held against it. Whether that counts comes later."""

    request_id: str
    task_type: TaskType
    answer: Answer


@dataclass(frozen=True, slots=True)
class Bounced:
    """A round of contested claims with one provider is over."""

    request_id: str
    task_type: TaskType
    bounce: Bounce


@dataclass(frozen=True, slots=True)
class Escalated:
    """The analysis stepped up a tier; the providers named join it blind."""

    request_id: str
    task_type: TaskType
    escalation: Escalation


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A call under way was given up, because its request ended; not the provider's fault."""

    request_id: str
    task_type: TaskType
    provider: str
    model: str
    seconds: float


@dataclass(frozen=True, slots=True)
class OddBill:
    """A vendor's bill for a call is far from our own sum by tokens and price, or can't be."""

    request_id: str
    task_type: TaskType
    provider: str
    model: str
    bill: Bill


@dataclass(frozen=True, slots=True)
class Settled:
    """An analysis ended with a verdict. `agreement` (0 to 1) by pair of provider names.

    It is the mean share of claims that the two entail of each other.
    """

    request_id: str
    analysis: Analysis
    agreement: tuple[tuple[tuple[str, str], float], ...]


@dataclass(frozen=True, slots=True)
class Abandoned:
    """An analysis ended without a verdict, because of `error`."""

    request_id: str
    task_type: TaskType
    error: AnalysisError


Event = (
    Asked
    | Answered
    | Failed
    | SatIn
    | Grading
    | Graded
    | AskedAgain
    | Bouncing
    | Revised
    | Bounced
    | Escalated
    | Cancelled
    | OddBill
    | Settled
    | Abandoned
)
Observer = Callable[[Event], None]
