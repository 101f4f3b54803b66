"""Graders that drop and garble a fifth of what they say, on questions whose answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from statistics import fmean

from garbling import Garbling
from heldout import HELD_OUT
from laboratory import analyses, questions, right
from rows import each_row

from techsapo_ops.wallbounce.analysis import Analysis
from techsapo_ops.wallbounce.scoring import auroc, ece
from techsapo_ops.wallbounce.tiers import TIERS

ASKED = 40
Judged = Sequence[tuple[Analysis, bool]]


@cache
def outcomes(share: float) -> Judged:
    """Analyses of all tiers by four providers of whose grades that share is lost; whether each is right."""
    found = []
    for n, setting in enumerate(HELD_OUT[:4]):
        for tier in TIERS:
            voices = [Garbling(p, share, n * 10 + i) for i, p in enumerate(setting.providers(4, 500 + n))]
            made = analyses(voices, questions(ASKED, 500 + n), tier)
            found += [(a, right(a.question, a.answer)) for a in made]
    return tuple(found)


def accepted(judged: Judged) -> list[bool]:
    return [correct for analysis, correct in judged if analysis.verdict.accepted]


@each_row("share", [0.2, 0.4])
def test_what_is_accepted_on_less_evidence_is_right_as_often(share: float) -> None:
    assert len(accepted(outcomes(share))) > 20
    assert fmean(accepted(outcomes(share))) >= 0.97


def test_lost_grades_cost_acceptance_and_not_calibration() -> None:
    whole, patchy = outcomes(0.0), outcomes(0.2)
    figures = [[(a.verdict.confidence, y) for a, y in side] for side in (whole, patchy)]
    shares = [len(accepted(side)) / len(side) for side in (whole, patchy)]
    assert shares[0] * 0.7 < shares[1] <= shares[0]
    assert ece(figures[1]) < ece(figures[0]) + 0.05
    assert auroc(figures[1]) > auroc(figures[0]) - 0.05


def test_nobody_who_answered_the_same_dissents_however_much_is_lost() -> None:
    for analysis, _ in (*outcomes(0.2), *outcomes(0.4)):
        if not analysis.bounces:
            assert analysis.answer.root_cause not in {d.root_cause for d in analysis.dissent}
