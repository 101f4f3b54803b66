"""What is asked, what each tier asks of the answers, and what an analysis may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from techsapo_ops.masking.masker import Masker
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.wallbounce.wording import Language


class Passage(NamedTuple):
    """A part of a question: material such as a log by its `name`, or, without one, what is asked of it."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Composed:
    """A prompt of several parts, so that what is asked and what it is asked about stay apart."""

    parts: tuple[Passage, ...]

    def __str__(self) -> str:
        """All of it as one text, to read and to write down. Nothing is sent so."""
        return "\n\n".join(f"<{p.name}>\n{p.text}\n</{p.name}>" if p.name else p.text for p in self.parts)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, by which request, and the language of the answer.

    `masker` has taken secrets out of `text` already, and takes them out of all else that is sent.
    """

    text: str
    language: Language
    request_id: str = ""
    masker: Masker = field(default_factory=lambda: Masker("off"), compare=False, repr=False)
    parts: tuple[Passage, ...] = ()
    """The same in parts, where it came in several. Without, all of it is what the user asks."""


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
