"""What providers say: answers to a question, and what they make of each other's."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean

MAX_CLAIMS = 8
"""Most atomic claims that one answer can make."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens as the provider counted them: all that it read, and all that it wrote.

    `cached` is the part of `input` that it had in its cache, `cache_written` the part that it put there.
    `thinking` is the part of `output` that is billed and not shown.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_written: int = 0
    thinking: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.input + other.input,
            self.output + other.output,
            self.cached + other.cached,
            self.cache_written + other.cache_written,
            self.thinking + other.thinking,
        )


class Risk(StrEnum):
    """What following an answer's commands can do."""

    REVERSIBLE = "reversible"
    DESTRUCTIVE = "destructive"


@dataclass(frozen=True, slots=True)
class Answer:
    """One provider's answer.

    `self_confidence` (0 to 1) is what the provider says of itself, None where it says nothing.
    `seconds` is the time the call took; `cost_usd` what it cost at the provider's price.
    `claims` (at most MAX_CLAIMS), `root_cause`, `commands` and `risk` are there only where the provider kept
    to the schema (`structured`); a plain answer has empty ones and a `risk` of None, which is unknown, not
    harmless. `risk` is the provider's own word. `version` is the vendor's name for the model that
    answered, "" where it says none: the vendor may put another model behind the same name.
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
    version: str = ""


@dataclass(frozen=True, slots=True)
class Peer:
    """What a grader is shown of somebody else's answer: no name, no model, no self-confidence.

    `label` is the anonymous name that the orchestrator gave it ("A", "B", …), unique within one grading.
    `cut`: the answer goes on, and what is beyond is shown to nobody but the user.
    """

    label: str
    text: str
    root_cause: str = ""
    claims: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    cut: bool = False

    @classmethod
    def of(cls, label: str, answer: Answer) -> Peer:
        """`answer` under the anonymous name `label`."""
        return cls(label, answer.text, answer.root_cause, answer.claims, answer.commands)


HIGHEST = 4
"""The best score; 0 is the worst."""


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
    """One grader's view of one peer, as far as it can be read.

    `claims` runs along the peer's claims. What is None was not given, or not in a readable way: it is neither
    good nor bad, and speaks neither for nor against agreement.
    """

    label: str
    claims: tuple[ClaimGrade | None, ...]
    correctness: Score | None = None
    safety: Score | None = None
    completeness: Score | None = None

    @property
    def scores(self) -> tuple[Score | None, Score | None, Score | None]:
        """The three scores."""
        return self.correctness, self.safety, self.completeness

    @property
    def mean(self) -> float | None:
        """Mean of the scores that were given, 0 to 1; None where none was."""
        given = [score.value for score in self.scores if score is not None]
        return fmean(given) / HIGHEST if given else None

    @property
    def stances(self) -> tuple[Stance | None, ...]:
        """How the grader stands to each claim, None where that is not known."""
        return tuple(None if claim is None else claim.stance for claim in self.claims)

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return None not in self.claims and None not in self.scores

    def covers(self, other: Grade) -> bool:
        """Whether it has all that `other`, of another version of the answer, has."""
        covered = all(
            mine is not None or theirs is None for mine, theirs in zip(self.scores, other.scores, strict=True)
        )
        return covered and (None not in self.claims or None in other.claims)

    def filled(self, later: Grade) -> Grade:
        """This grade, with what it lacks taken from `later`, which runs along the same claims."""
        claims = tuple(mine or theirs for mine, theirs in zip(self.claims, later.claims, strict=True))
        scores = (mine or theirs for mine, theirs in zip(self.scores, later.scores, strict=True))
        return Grade(self.label, claims, *scores)


@dataclass(frozen=True, slots=True)
class Grades:
    """What one provider thinks of its peers. A peer that it graded in no readable way is left out."""

    provider: str
    model: str
    grades: tuple[Grade, ...]
    tokens: Tokens
    seconds: float
    cost_usd: float
    version: str = ""
    """As of an Answer."""


@dataclass(frozen=True, slots=True)
class Critique:
    """A contested claim of the provider's own answer, with what an anonymous peer holds against it."""

    claim: str
    objection: str


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
