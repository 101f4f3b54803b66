"""The values of an analysis: a question, answers, failures, and what came out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Language = Literal["ja", "en"]
TaskType = Literal["basic", "premium", "critical"]
MAX_CLAIMS = 8
"""Most atomic claims that one answer can make."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, by which request, and the language of the answer."""

    text: str
    language: Language
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens as the provider counted them; `cached` is the part of `input` that it had in its cache."""

    input: int = 0
    output: int = 0
    cached: int = 0


class Risk(StrEnum):
    """What following an answer's commands can do."""

    READ = "read"
    REVERSIBLE = "reversible"
    DESTRUCTIVE = "destructive"


@dataclass(frozen=True, slots=True)
class Answer:
    """One provider's answer.

    `self_confidence` (0 to 1) is what the provider says of itself, None where it says nothing.
    `seconds` is the time the call took; `cost_usd` what it cost at the provider's price.
    `claims` (at most MAX_CLAIMS), `root_cause`, `commands` and `risk` are there only where the provider kept
    to the schema (`structured`); a plain answer has empty ones and a `risk` of None, which is unknown, not
    harmless. `risk` is the provider's own word.
    """

    provider: str
    model: str
    text: str
    tokens: Tokens
    seconds: float
    cost_usd: float
    self_confidence: float | None = None
    claims: tuple[str, ...] = ()
    root_cause: str = ""
    commands: tuple[str, ...] = ()
    risk: Risk | None = None
    structured: bool = False


@dataclass(frozen=True, slots=True)
class Peer:
    """What a grader is shown of somebody else's answer: no name, no model, no self-confidence.

    `label` is the anonymous name that the orchestrator gave it ("A", "B", …), unique within one grading.
    """

    label: str
    text: str
    root_cause: str = ""
    claims: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()

    @classmethod
    def of(cls, label: str, answer: Answer) -> Peer:
        """`answer` under the anonymous name `label`."""
        return cls(label, answer.text, answer.root_cause, answer.claims, answer.commands)


class Stance(StrEnum):
    """How a grader's own view stands to a claim."""

    ENTAILS = "entails"
    CONTRADICTS = "contradicts"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class ClaimGrade:
    """The grader's stance to one claim, and why."""

    stance: Stance
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """0 (bad) to 4 (good), and what shows it."""

    value: int
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Grade:
    """One grader's view of one peer. `claims` runs along the peer's claims, one for each."""

    label: str
    claims: tuple[ClaimGrade, ...]
    correctness: Score
    safety: Score
    completeness: Score

    @property
    def mean(self) -> float:
        """Mean of the three scores, 0 to 1."""
        return (self.correctness.value + self.safety.value + self.completeness.value) / 12


@dataclass(frozen=True, slots=True)
class Grades:
    """What one provider thinks of its peers. A peer that it graded in no readable way is left out."""

    provider: str
    model: str
    grades: tuple[Grade, ...]
    tokens: Tokens
    seconds: float
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Critique:
    """A contested claim of the provider's own answer, with what an anonymous peer holds against it."""

    claim: str
    objection: str


class FailureKind(StrEnum):
    """Why a provider gave no answer."""

    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    """It can't be reached, or failed on its side."""
    REFUSED = "refused"
    """It rejected the call: key, model name or content."""
    BAD_ANSWER = "bad_answer"
    """It answered something that can't be used: empty, truncated or far too long."""


class ProviderError(Exception):
    """A provider gave no answer. `message` holds no secret; `retry_after` is in seconds.

    `cost_usd` is what the failed call costs all the same. `began` says that the vendor had begun to answer,
    and so bills the call, however little of it can be used.
    """

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        retry_after: float | None = None,
        cost_usd: float = 0.0,
        began: bool = False,
    ) -> None:
        super().__init__(message)
        self.cost_usd = cost_usd
        self.began = began
        self.kind = kind
        self.message = message
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Failure:
    """One provider's failure within an analysis."""

    provider: str
    model: str
    kind: FailureKind
    message: str
    seconds: float
    retry_after: float | None = None
    cost_usd: float = 0.0
    """What the failed call cost all the same."""


class Outcome(StrEnum):
    """What came of a question."""

    ACCEPTED = "accepted"
    UNSETTLED = "unsettled"
    """Answered, below a threshold; what is unsettled is said."""
    REFUSED = "refused"
    """Not answered: hypotheses and read-only checks instead."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far the answers agree and whether that is enough; `notes` says what keeps it from being so.

    All scores are 0 to 1. `agreement` (A) and `consensus` come from the first, independent answers;
    `grade` (G) is what the peers give the chosen one now. See verdict.py for the formulas.
    """

    chosen: int
    """Index of the answer that is given."""
    consensus: float
    confidence: float
    accepted: bool
    notes: tuple[str, ...] = ()
    agreement: float = 0.0
    grade: float = 0.0
    uncapped: float = 0.0
    """The confidence before any cap: what the weights alone make of agreement and grade."""
    cluster: tuple[int, ...] = ()
    """Indices of the answers that entail each other and the chosen one."""
    calibrated: bool = False
    """Whether the weights were fitted to labelled outcomes of this tier and these models."""
    outcome: Outcome = Outcome.UNSETTLED


@dataclass(frozen=True, slots=True)
class Review:
    """One provider's grade of another's answer, the names put back. `claims` are those that were graded."""

    grader: str
    subject: str
    claims: tuple[str, ...]
    grade: Grade


@dataclass(frozen=True, slots=True)
class Objection:
    """A claim that peers contradict, and what each of them holds against it."""

    provider: str
    """Who claims it."""
    claim: str
    against: tuple[tuple[str, str], ...]
    """Names of those who contradict it, with their evidence."""
    critical: bool = False


@dataclass(frozen=True, slots=True)
class Dissent:
    """An answer that does not agree with the one that is given."""

    provider: str
    root_cause: str
    grade: float


@dataclass(frozen=True, slots=True)
class Amendment:
    """A claim of another answer that nobody disputes and that the given one lacks."""

    provider: str
    claim: str


@dataclass(frozen=True, slots=True)
class Destructive:
    """A command that can't be undone, as it stands in the answer, and what it destroys."""

    command: str
    kind: str
    why: str


@dataclass(frozen=True, slots=True)
class Bounce:
    """One provider's contested claims sent back to it, and whether its revision counts."""

    round: int
    provider: str
    claims: tuple[str, ...]
    before: float
    """Mean peer grade of the answer that was sent back."""
    after: float | None
    """Mean peer grade of the revision; None where there is none or nobody graded it."""
    kept: bool


@dataclass(frozen=True, slots=True)
class Escalation:
    """A step up to the next tier: why, and which blind providers joined."""

    reason: str
    tier: TaskType
    providers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One explanation that the answers leave open, who holds it, and read-only checks that speak to it."""

    cause: str
    providers: tuple[str, ...]
    grade: float
    checks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Analysis:
    """The outcome of one question. `text` is what the user reads: winner, amendments, marks; or a refusal."""

    question: Question
    task_type: TaskType
    answers: tuple[Answer, ...]
    failures: tuple[Failure, ...]
    verdict: Verdict
    simulated: bool
    cost_usd: float
    seconds: float
    tier: TaskType
    """The tier that the analysis ended in, `task_type` or one above it."""
    text: str
    reviews: tuple[Review, ...] = ()
    unsettled: tuple[Objection, ...] = ()
    dissent: tuple[Dissent, ...] = ()
    amendments: tuple[Amendment, ...] = ()
    destructive: tuple[Destructive, ...] = ()
    bounces: tuple[Bounce, ...] = ()
    escalations: tuple[Escalation, ...] = ()
    hypotheses: tuple[Hypothesis, ...] = ()
    later_failures: tuple[Failure, ...] = ()
    """Failed calls of providers that had answered: gradings and revisions."""

    @property
    def answer(self) -> Answer:
        """The provider's answer that was chosen, unamended."""
        return self.answers[self.verdict.chosen]

    def grade_of(self, provider: str) -> float | None:
        """Mean peer grade of `provider`'s answer, None where nobody graded it."""
        given = [r.grade.mean for r in self.reviews if r.subject == provider]
        return sum(given) / len(given) if given else None


class AnalysisError(Exception):
    """No analysis came about. `code` is stable; `retry_after` is in seconds, None if waiting is no help."""

    def __init__(
        self,
        code: Literal["no_provider", "providers_failed", "over_request_budget"],
        message: str,
        *,
        failures: tuple[Failure, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.failures = failures
        self.retry_after = retry_after
