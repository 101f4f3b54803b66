"""What comes of a question: the answer with its verdict, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from techsapo_ops.wallbounce.answers import Answer, Objection, Review
from techsapo_ops.wallbounce.providers.failures import Failure
from techsapo_ops.wallbounce.question import Question, TaskType
from techsapo_ops.wallbounce.verdict.check import Check
from techsapo_ops.wallbounce.verdict.commands import Dangerous
from techsapo_ops.wallbounce.verdict.next_step import Bounce, Escalation
from techsapo_ops.wallbounce.verdict.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Dissent:
    """An answer that does not agree with the one that is given."""

    provider: str
    root_cause: str
    grade: float | None
    """None where nobody graded it."""


@dataclass(frozen=True, slots=True)
class Amendment:
    """A claim of another answer that nobody disputes and that the given one lacks."""

    provider: str
    claim: str


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One explanation that the answers leave open, and who holds it."""

    cause: str
    providers: tuple[str, ...]
    grade: float | None


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
    tier: TaskType
    """The tier that the analysis ended in, `task_type` or one above it."""
    text: str
    reviews: tuple[Review, ...] = ()
    unsettled: tuple[Objection, ...] = ()
    dissent: tuple[Dissent, ...] = ()
    amendments: tuple[Amendment, ...] = ()
    destructive: tuple[Dangerous, ...] = ()
    """Its commands that can't be undone."""
    hazards: tuple[Dangerous, ...] = ()
    """Its other dangerous commands: what stops a service or weakens security."""
    bounces: tuple[Bounce, ...] = ()
    escalations: tuple[Escalation, ...] = ()
    hypotheses: tuple[Hypothesis, ...] = ()
    later_failures: tuple[Failure, ...] = ()
    """Failed calls of providers that had answered: gradings and revisions."""
    check: Check | None = None
    """Who checked the only answer of a cascade; the last of the verdict's relations is the checker's."""

    @property
    def answer(self) -> Answer:
        """The provider's answer that was chosen, unamended."""
        return self.answers[self.verdict.chosen]

    @property
    def voices(self) -> tuple[tuple[str, str, str], ...]:
        """Provider, model and its version of each answer, and of who checked the only one."""
        check = () if self.check is None else (self.check,)
        return tuple((each.provider, each.model, each.version) for each in (*self.answers, *check))

    def grade_of(self, provider: str) -> float | None:
        """Mean peer grade of `provider`'s answer, None where nobody graded it."""
        means = [r.grade.mean for r in self.reviews if r.subject == provider]
        given = [mean for mean in means if mean is not None]
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
