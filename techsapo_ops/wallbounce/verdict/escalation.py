"""When an analysis steps up to the next tier, and what it ends in when it can't."""

from __future__ import annotations

from dataclasses import dataclass

from techsapo_ops.wallbounce.tiers import TIERS, TaskType
from techsapo_ops.wallbounce.verdict.verdict import (
    ANSWERABLE,
    BOUNCE_BAND,
    NOT_COMPARED,
    Outcome,
    Verdict,
    decisive,
)


@dataclass(frozen=True, slots=True)
class Escalation:
    """A step up to the next tier: why, and which blind providers joined."""

    reason: str
    tier: TaskType
    providers: tuple[str, ...]


def next_tier(tier: TaskType) -> TaskType | None:
    """The tier above `tier`; None at the top."""
    index = TIERS.index(tier) + 1
    return TIERS[index] if index < len(TIERS) else None


def reason_to_escalate(verdict: Verdict, wanted: float, *, destructive: bool, stalled: bool) -> str | None:
    """Why another provider is asked blind; None where the verdict holds. `wanted` is what the tier wants.

    What can't be undone is heard at the top tier, even where all agree.
    """
    if "sole_answer" in verdict.notes:
        return "sole_answer"
    if NOT_COMPARED in verdict.notes:
        return NOT_COMPARED
    if "split" in verdict.notes:
        return "split"
    reached = decisive(verdict.confidence, verdict.notes)
    if reached < wanted - BOUNCE_BAND:
        return "low_confidence"
    if destructive:
        return "destructive"
    if verdict.accepted:
        return None
    if reached < wanted:
        return "bounce_stalled" if stalled else "nothing_to_bounce"
    return "consensus" if "consensus_below_threshold" in verdict.notes else "grade"


def outcome(verdict: Verdict, obstacle: str | None) -> tuple[Outcome, str | None]:
    """What comes of a verdict after which nobody else is asked, and the note that says why it is refused.

    An accepted answer with a destructive command that could not be heard at a higher tier is not accepted.
    `obstacle` is "budget" where a needed escalation costs too much and "lonely" where fewer than two
    providers were well from the start. A sole survivor of more is answered, as such.
    """
    if verdict.accepted and obstacle in {None, "top"}:
        return Outcome.ACCEPTED, None
    if obstacle == "budget":
        return Outcome.REFUSED, "refused_for_budget"
    if obstacle == "lonely":
        return Outcome.REFUSED, "refused_too_few_providers"
    if verdict.accepted:
        return Outcome.UNSETTLED, "not_heard_higher_up"
    if "sole_answer" in verdict.notes or decisive(verdict.confidence, verdict.notes) >= ANSWERABLE:
        return Outcome.UNSETTLED, None
    return Outcome.REFUSED, "refused_low_confidence"
