"""Why a provider gave no answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.providers.causes import LASTING, Cause, FailureKind, usual_cause

__all__ = ["Cause", "Failure", "FailureKind", "NotAskedError", "ProviderError"]

PASSING = frozenset({FailureKind.RATE_LIMITED, FailureKind.UNAVAILABLE, FailureKind.TIMEOUT})
"""Kinds that may be gone at the next attempt. A refusal or an unreadable answer would come again."""


class ProviderError(Exception):
    """A provider gave no answer. `message` holds no secret; `retry_after` is in seconds.

    `cost_usd` is what the failed call costs all the same, `tokens` what was counted of it. `began` says that
    the vendor had begun to answer, and so bills the call, however little of it can be used. `seconds` is what
    the call took, once known. Where no `cause` is given it is the usual one of the kind.
    """

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        cause: Cause | None = None,
        retry_after: float | None = None,
        cost_usd: float = 0.0,
        began: bool = False,
    ) -> None:
        super().__init__(message)
        self.seconds = 0.0
        self.tokens = Tokens()
        self.cost_usd = cost_usd
        self.began = began
        self.kind = kind
        self.cause = cause or usual_cause(kind)
        self.message = message
        self.retry_after = retry_after

    @property
    def passing(self) -> bool:
        """Whether it may be gone at the next attempt."""
        return self.kind in PASSING and self.cause not in LASTING


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
    cause: Cause = field(kw_only=True)
    """What was the matter."""

    @classmethod
    def of(cls, provider: str, model: str, error: ProviderError) -> Failure:
        """`error` of a call to `model` of `provider`."""
        return cls(
            provider,
            model,
            error.kind,
            error.message,
            error.seconds,
            error.retry_after,
            error.cost_usd,
            cause=error.cause,
        )
