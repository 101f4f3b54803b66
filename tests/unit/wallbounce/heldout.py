"""Weights fitted on some seeds and settings of the simulator, and what they say of others.

Shared by the unit test, which tries a few questions, and `make bench`, which holds the bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product

from laboratory import Setting, analyses, questions, right

from techsapo_ops.wallbounce.analysis import Analysis
from techsapo_ops.wallbounce.question import TaskType
from techsapo_ops.wallbounce.verdict.fitting import Row, fit_capped, reported
from techsapo_ops.wallbounce.verdict.verdict import CONTRADICTED, Ceilings

TIERS: tuple[TaskType, ...] = ("basic", "premium", "critical")
FITTED = [
    Setting(accuracy, correlation, same_wrong, *graders)
    for accuracy, correlation, same_wrong, graders in product(
        (0.6, 0.7, 0.8), (0.0, 0.3), (0.1, 0.4), ((0.8, 0.2), (0.9, 0.1))
    )
]
HELD_OUT = [Setting(*knobs, 0.85, 0.15) for knobs in product((0.65, 0.75), (0.15, 0.25), (0.2, 0.3))]
Judged = list[tuple[float, bool]]
"""What was said of each answer, 0 to 1, and whether it was right."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """How many labels were fitted, and by way of scoring what was said of the others."""

    fitted: int
    columns: dict[str, Judged]

    @property
    def right(self) -> float:
        """Share of the held-out answers that are right."""
        column = self.columns["fitted"]
        return sum(correct for _, correct in column) / len(column)


def experiment(each_fitted: int = 30, each_held_out: int = 210) -> HeldOut:
    """Fit on so many questions of each setting and tier, then judge others of other settings and seeds."""
    seen, unseen = list(_outcomes(FITTED, each_fitted, 1)), list(_outcomes(HELD_OUT, each_held_out, 1000))
    weights = {}
    for tier in TIERS:
        (count,) = {len(a.answers) for a, _ in seen if a.tier == tier}
        weights[tier] = fit_capped([row_of(a, y) for a, y in seen if a.tier == tier], count)

    def judged(score: Callable[[Analysis, Row], float]) -> Judged:
        return [(score(a, row_of(a, y)), y) for a, y in unseen]

    return HeldOut(
        len(seen),
        {
            "fitted": judged(lambda a, row: reported(weights[a.tier], row, len(a.answers))),
            "no caps": judged(lambda a, row: weights[a.tier].raw(row.agreement, row.grade)),
            "fixed caps": judged(
                lambda a, row: reported(replace(weights[a.tier], ceilings=Ceilings()), row, len(a.answers))
            ),
            "provisional": judged(lambda a, _: a.verdict.confidence),
            "mean score": judged(lambda _, row: row.grade),
        },
    )


def row_of(analysis: Analysis, correct: bool) -> Row:
    """What fitting takes of an analysis, labelled."""
    verdict = analysis.verdict
    return Row(verdict.agreement, verdict.grade, correct, CONTRADICTED in verdict.notes)


def _outcomes(settings: list[Setting], each: int, seed: int) -> Iterator[tuple[Analysis, bool]]:
    """Analyses as they are used: four providers at hand, every tier asked, escalated where need be."""
    for n, (setting, tier) in enumerate(product(settings, TIERS)):
        providers = setting.providers(4, seed + n)
        for analysis in analyses(providers, questions(each, seed + n), tier):
            yield analysis, right(analysis.question, analysis.answer)
