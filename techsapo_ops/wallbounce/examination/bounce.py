"""When contested claims go back to those who made them, and whether a revision counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from techsapo_ops.wallbounce.examination.grades import Critique, Objection
from techsapo_ops.wallbounce.verdict.verdict import BOUNCE_BAND, Verdict, decisive

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
    """What an author is told: the contested claims alone, and what is held against them, without names."""
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
