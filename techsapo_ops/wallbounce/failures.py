"""Why a provider gave no answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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


PASSING = frozenset({FailureKind.TIMEOUT, FailureKind.RATE_LIMITED, FailureKind.UNAVAILABLE})
"""What may pass by itself."""


class ProviderError(Exception):
    """A provider gave no answer. `message` holds no secret; `retry_after` is in seconds.

    `cost_usd` is what the failed call costs all the same. `began` says that the vendor had begun to answer,
    and so bills the call, however little of it can be used. `seconds` is what the call took, once known.
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
        self.seconds = 0.0
        self.cost_usd = cost_usd
        self.began = began
        self.kind = kind
        self.message = message
        self.retry_after = retry_after


class NotAskedError(ProviderError):
    """The call was not made, so it says nothing about the vendor."""


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

    @classmethod
    def of(cls, provider: str, model: str, error: ProviderError) -> Failure:
        """`error` of a call to `model` of `provider`."""
        return cls(
            provider, model, error.kind, error.message, error.seconds, error.retry_after, error.cost_usd
        )
