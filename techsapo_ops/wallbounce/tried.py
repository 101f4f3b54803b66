"""What was found when a provider was tried, see try_provider.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Literal

from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.causes import Cause
from techsapo_ops.wallbounce.provider import Price

CheckName = Literal["list", "answer", "schema", "grades"]


class Outcome(StrEnum):
    """How a check ended."""

    OK = "ok"
    SKIPPED = "skipped"
    """Not tried, and that is no fault."""
    WARNING = "warning"
    FAILED = "failed"


_WORST_LAST = (Outcome.SKIPPED, Outcome.OK, Outcome.WARNING, Outcome.FAILED)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was tried. `detail` may hold a vendor's words, `remedy` says what to do."""

    name: CheckName
    outcome: Outcome
    detail: str
    remedy: str = ""
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class Tried:
    """What trying a provider told. `speed` is in tokens a second, `seconds` what its first answer took."""

    name: str
    kind: str
    model: str
    checks: tuple[Check, ...]
    price: Price | None = None
    tokens: Tokens = field(default_factory=Tokens)
    cost_usd: float = 0.0
    seconds: float | None = None
    speed: float | None = None
    end: date | None = None
    """When its model ends, by the vendor's list or else by the catalogue."""

    @property
    def outcome(self) -> Outcome:
        """The worst of its checks; skipped where no answer was asked for, which says nothing of it."""
        if any(check.name == "answer" and check.outcome is Outcome.SKIPPED for check in self.checks):
            return Outcome.SKIPPED
        return max((check.outcome for check in self.checks), key=_WORST_LAST.index, default=Outcome.SKIPPED)

    @property
    def answered(self) -> bool:
        """Whether it answered, whatever else was the matter."""
        return any(check.name == "answer" and check.outcome is Outcome.OK for check in self.checks)

    @property
    def worst(self) -> Check | None:
        """The last check with that outcome."""
        return next((check for check in reversed(self.checks) if check.outcome is self.outcome), None)
