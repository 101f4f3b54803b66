"""What each tier asks for, and what an analysis may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import seconds

TaskType = Literal["basic", "premium", "critical"]
TIERS: tuple[TaskType, ...] = ("basic", "premium", "critical")


@dataclass(frozen=True, slots=True)
class TierRule:
    """How many providers answer, and the scores that an accepted answer needs (0 to 1)."""

    providers: int
    confidence: float
    consensus: float


DEADLINE = 120.0
MAX_BOUNCES = 2


@dataclass(frozen=True, slots=True)
class Policy:
    """The rule of each tier, and the limits of one analysis: seconds, rounds of bounces, USD if any."""

    tiers: Mapping[TaskType, TierRule]
    deadline: float = DEADLINE
    max_bounces: int = MAX_BOUNCES
    per_request_usd: float | None = None


def policy_of(spec: Spec, *, counts: bool = True) -> Policy:
    """The policy of `spec`. Without `counts` money is none, and there is no limit to it."""
    tiers, consensus = spec.wallbounce.tiers, spec.wallbounce.consensus
    return Policy(
        {
            "basic": TierRule(tiers.basic.providers, tiers.basic.confidence, consensus),
            "premium": TierRule(tiers.premium.providers, tiers.premium.confidence, consensus),
            "critical": TierRule(tiers.critical.providers, tiers.critical.confidence, consensus),
        },
        deadline=seconds(spec.app.limits.request_timeout),
        max_bounces=spec.wallbounce.max_bounces,
        per_request_usd=spec.budget.per_request_usd if counts else None,
    )
