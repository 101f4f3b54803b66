"""What providers make of each other's answers: grades, and what is held against a claim."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from techsapo_ops.wallbounce.answers import Answer, Tokens


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
