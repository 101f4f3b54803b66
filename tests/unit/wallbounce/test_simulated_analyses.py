"""Whole analyses by simulated providers, a few questions each; `make bench` asks enough for figures."""

from __future__ import annotations

from statistics import fmean

from garbling import Garbling
from laboratory import Setting, analyses, questions, right

from techsapo_ops.wallbounce.tiers import TIERS, TierRule

ASKED = 60


def test_agreement_and_consensus_do_not_move_by_bouncing_and_the_answer_gets_better() -> None:
    setting, tiers = Setting(0.6, 0.2, 0.5, 0.9, 0.1), dict.fromkeys(TIERS, TierRule(3, 0.8, 0.6))
    before, after = (
        analyses(setting.providers(3, 1), questions(ASKED, 1), "premium", tiers=tiers, max_bounces=most)
        for most in (0, 2)
    )
    scores = [[(a.verdict.agreement, a.verdict.consensus) for a in side] for side in (before, after)]
    assert scores[0] == scores[1]
    bounced = [n for n, a in enumerate(after) if a.bounces]
    assert len(bounced) > 5
    was, became = (
        fmean(right(side[n].question, side[n].answer) for n in bounced) for side in (before, after)
    )
    assert became > was


def test_nobody_who_answered_the_same_dissents_however_much_of_the_grades_is_lost() -> None:
    accepted = []
    for share in (0.2, 0.4):
        for tier in TIERS:
            voices = [Garbling(p, share, n) for n, p in enumerate(Setting(0.75, 0.2, 0.3).providers(4, 500))]
            for analysis in analyses(voices, questions(20, 500), tier):
                if not analysis.bounces:
                    assert analysis.answer.root_cause not in {d.root_cause for d in analysis.dissent}
                if analysis.verdict.accepted:
                    accepted.append(right(analysis.question, analysis.answer))
    assert len(accepted) > 20
    assert fmean(accepted) > 0.9
