"""The values of an analysis: a question, answers, failures, and what came out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Language = Literal["ja", "en"]
TaskType = Literal["basic", "premium", "critical"]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, by which request, and the language of the answer."""

    text: str
    language: Language
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens as the provider counted them."""

    input: int = 0
    output: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """One provider's answer.

    `self_confidence` (0 to 1) is what the provider says of itself, None where it says nothing.
    `seconds` is the time the call took; `cost_usd` what it cost at the provider's price.
    """

    provider: str
    model: str
    text: str
    tokens: Tokens
    seconds: float
    cost_usd: float
    self_confidence: float | None = None
    claims: tuple[str, ...] = ()


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
    """A provider gave no answer. `message` holds no secret; `retry_after` is in seconds."""

    def __init__(self, kind: FailureKind, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
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


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far the answers agree and whether that is enough; `notes` says what keeps it from being so."""

    chosen: int
    """Index of the answer that is given."""
    consensus: float
    confidence: float
    accepted: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Analysis:
    """The outcome of one question."""

    question: Question
    task_type: TaskType
    answers: tuple[Answer, ...]
    failures: tuple[Failure, ...]
    verdict: Verdict
    simulated: bool
    cost_usd: float
    seconds: float

    @property
    def answer(self) -> Answer:
        """The answer that is given."""
        return self.answers[self.verdict.chosen]


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
