"""What became of answers: the record of each model, and how far shown confidence could be trusted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from techsapo_ops.wallbounce.feedback.judged import Judged
from techsapo_ops.wallbounce.verdict.verdict import Outcome

SURE = 0.9
"""Confidence from which on an answer is shown as sure."""


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """Of one model: in how many analyses it was `compared` with a chosen answer of another one and how often
    it dissented; of how many answers people judged, `right` of them.

    A dissenting answer is judged where the chosen one is right: then it is wrong. Where the chosen one is
    wrong, nobody knows.
    """

    model: str
    compared: int
    dissented: int
    judged: int
    right: float


@dataclass(frozen=True, slots=True)
class Balance:
    """Of all analyses that people judged: of those shown as SURE how many were right, the declined ones that
    were right after all, and what all of them cost together.
    """

    judged: int
    right: float
    sure: int
    sure_right: float
    declined: int
    declined_right: float
    cost_usd: float

    @property
    def usd_per_right(self) -> float | None:
        """What a right answer costs, the others included; None while none is right."""
        return self.cost_usd / self.right if self.right else None


def track_records(analyses: Iterable[Judged]) -> tuple[TrackRecord, ...]:
    """The record of each model, by name."""
    compared: dict[str, list[bool]] = defaultdict(list)
    rights: dict[str, list[float]] = defaultdict(list)
    for each in analyses:
        for place, member in enumerate(each.record.answers):
            chosen = place == each.record.chosen
            compared[member.model] += [] if chosen or member.agrees is None else [not member.agrees]
            if each.right is not None and (chosen or member.agrees):
                rights[member.model].append(each.right)
            elif each.right == 1 and member.agrees is False:
                rights[member.model].append(0.0)
    return tuple(
        TrackRecord(model, len(compared[model]), sum(compared[model]), len(rights[model]), sum(rights[model]))
        for model in sorted(compared.keys() | rights.keys())
    )


def balance(analyses: Iterable[Judged]) -> Balance:
    """What became of `analyses`."""
    labelled = [(each, each.right) for each in analyses if each.right is not None]
    sure = [right for each, right in labelled if each.record.confidence >= SURE]
    declined = [right for each, right in labelled if each.record.outcome is not Outcome.ACCEPTED]
    return Balance(
        len(labelled),
        sum(right for _, right in labelled),
        len(sure),
        sum(sure),
        len(declined),
        sum(declined),
        sum(each.cost_usd for each, _ in labelled),
    )
