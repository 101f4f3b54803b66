"""What follows a verdict that is not enough: contested claims go back, the next tier joins, or it ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from techsapo_ops.wallbounce.answers import Critique, Objection
from techsapo_ops.wallbounce.question import CASCADE, HANDED_TO, PANELS, TaskType
from techsapo_ops.wallbounce.verdict.verdict import (
    ANSWERABLE,
    BOUNCE_BAND,
    NOT_COMPARED,
    Outcome,
    Verdict,
    decisive,
)

SMALLEST_GAIN = 0.05
"""Gain in confidence below which another round is not worth its cost."""


@dataclass(frozen=True, slots=True)
class Bounce:
    """One provider's contested claims sent back to it, and whether its revision counts."""

    round: int
    provider: str
    claims: tuple[str, ...]
    before: float | None
    """Mean peer grade of the answer that was sent back; None where nobody gave one."""
    after: float | None
    """Mean peer grade of the revision; None where there is none or nobody graded it."""
    kept: bool


def within_reach(verdict: Verdict, wanted: float) -> bool:
    """Whether the confidence is close enough below the tier's for a bounce to improve it."""
    return (
        wanted - BOUNCE_BAND <= decisive(verdict.confidence, verdict.notes) < wanted
        and "split" not in verdict.notes
    )


def critiques(objections: Sequence[Objection]) -> tuple[Critique, ...]:
    """What an author gets: the contested claims alone, and what is held against them, without names."""
    return tuple(
        Critique(o.claim, "\n".join(dict.fromkeys(evidence for _, evidence in o.against if evidence)))
        for o in objections
    )


def counts(before: float | None, after: float | None) -> bool:
    """Whether a revision takes its answer's place: only if its mean peer grade rises."""
    return before is not None and after is not None and after > before


def stalled(before: float, after: float) -> bool:
    """Whether a round gained too little confidence for another."""
    return after - before < SMALLEST_GAIN


@dataclass(frozen=True, slots=True)
class Escalation:
    """A step up to the next tier: why, and which blind providers joined."""

    reason: str
    tier: TaskType
    providers: tuple[str, ...]


def next_tier(tier: TaskType) -> TaskType | None:
    """The tier above `tier`; None at the top."""
    if tier == CASCADE:
        return HANDED_TO
    index = PANELS.index(tier) + 1
    return PANELS[index] if index < len(PANELS) else None


def reason_to_escalate(verdict: Verdict, wanted: float, *, destructive: bool, stalled: bool) -> str | None:
    """Why another provider is asked blind; None where the verdict holds. `wanted` is what the tier wants.

    About what can't be undone the top tier is asked, even where all agree.
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

    An accepted answer with a destructive command that no higher tier could be asked about is not accepted.
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
        return Outcome.UNSETTLED, "no_higher_tier_left"
    if "sole_answer" in verdict.notes or decisive(verdict.confidence, verdict.notes) >= ANSWERABLE:
        return Outcome.UNSETTLED, None
    return Outcome.REFUSED, "refused_low_confidence"
