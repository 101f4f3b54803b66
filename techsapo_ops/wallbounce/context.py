"""What one analysis carries along with every call, and the events that it tells its observers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from techsapo_ops.wallbounce.analysis import Analysis, AnalysisError
from techsapo_ops.wallbounce.answers import Answer, Grades, Tokens
from techsapo_ops.wallbounce.providers.failures import Failure
from techsapo_ops.wallbounce.question import TaskType
from techsapo_ops.wallbounce.verdict.next_step import Bounce, Escalation

Phase = Literal["answer", "grade", "revise"]


@dataclass(frozen=True, slots=True)
class Charge:
    """A call that has ended, as it is booked. `status` is success, cut_off or the kind of the failure.

    `cost_usd` is None where the call was cut off, `seconds` what it took. `version` is the vendor's name for
    the model that answered, "" where nothing says it.
    """

    provider: str
    model: str
    phase: Phase
    status: str
    cost_usd: float | None
    tokens: Tokens
    seconds: float
    version: str = ""


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


class VendorWait:
    """Seconds, as `clock` counts them, in which at least one call to a vendor was under way.

    Calls at the same time count once: it is what the analysis, and who waits for it, can't do anything about.
    `cut_off` says that the end of a phase cut a call off: there the analysis waited as long as it may.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.cut_off = False
        self._clock = clock
        self._under_way = 0
        self._since = 0.0
        self._over = 0.0

    def __enter__(self) -> None:
        """A vendor is waited for within the block."""
        if not self._under_way:
            self._since = self._clock()
        self._under_way += 1

    def __exit__(self, *_: object) -> None:
        """It is not any more."""
        self._under_way -= 1
        if not self._under_way:
            self._over += self._clock() - self._since

    def seconds(self) -> float:
        """How long until now."""
        return self._over + (self._clock() - self._since if self._under_way else 0.0)


CUT_OFF = "cut_off"
"""Status of a call that was given up while it was under way: what a vendor bills for it is not known."""


class Payer(Protocol):
    """Who pays for the calls of one analysis."""

    async def afford(self, usd: float) -> bool:
        """Whether so much more may be spent; where it may, it is reserved."""
        ...

    async def hold(self, usd: float) -> int:
        """Set `usd` aside for a call, in units of the payer. Raises ProviderError where there is no room."""
        ...

    def book(self, held: int, charge: Charge) -> None:
        """Book a call for which `held` units were set aside; all of them are spent where it was cut off."""
        ...


class Memory(Protocol):
    """What is known of one analysis that another instance began, and what this one adds for the next."""

    @property
    def seed(self) -> int:
        """What chance decides in this analysis, whoever goes on with it."""
        ...

    @property
    def answered(self) -> Sequence[str]:
        """Names of the providers whose answers are known."""
        ...

    def reply(self, call: str) -> Any | None:
        """The reply to `call` as JSON has it, where it is known."""
        ...

    async def asking(self, call: str, usd: float) -> None:
        """`call` is about to be made, for `usd` at worst."""
        ...

    async def ended(self, call: str, usd: float, reply: Any | None = None) -> None:
        """`call` ended so: what it cost, and its reply as JSON has it, where there is one."""
        ...


def nobody(event: Event) -> None:
    """Let an event pass."""


@dataclass(frozen=True, slots=True)
class AnalysisContext:
    """The context of one analysis. It is passed on with each call and outlives none of them.

    Nothing of it is kept in a context variable: a pooled connection to a vendor keeps those of the call that
    opened it, and with them an analysis that is long over.
    """

    task_type: TaskType = "basic"
    tell: Observer = nobody
    """Hears of every event, in order, on the event loop."""
    payer: Payer | None = None
    """None where nothing is reserved or booked."""
    memory: Memory | None = None
    """None where nobody could go on with the analysis."""
    wait: VendorWait = field(default_factory=VendorWait)
    """How long vendors were waited for, and whether one of them was for as long as it may be."""
