"""What is known of votes, copied errors and talk holds in the simulation. Only these tests know the truth."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from statistics import fmean

import pytest
from laboratory import TIERS, Setting, analyses, questions, right
from rows import each_row
from virtual import run

from techsapo_ops.wallbounce.analysis import Analysis
from techsapo_ops.wallbounce.answers import Answer
from techsapo_ops.wallbounce.asks import AskAnswer, AskRevision
from techsapo_ops.wallbounce.grades import Critique
from techsapo_ops.wallbounce.providers.simulated import Simulated
from techsapo_ops.wallbounce.question import Question
from techsapo_ops.wallbounce.tiers import TierRule

ASKED = 800
"""Standard error of a share near .8: .014. Tolerances are about three of them."""
TALKS = 1500


@cache
def asked(setting: Setting, providers: int, *, seed: int = 1, max_bounces: int = 0) -> tuple[Analysis, ...]:
    """Analyses in which nobody is left to escalate to."""
    tiers = dict.fromkeys(TIERS, TierRule(providers, 0.8, 0.6))
    voices = setting.providers(providers, seed)
    made = analyses(voices, questions(ASKED, seed), "premium", tiers=tiers, max_bounces=max_bounces)
    return tuple(made)


def accuracy(outcomes: Sequence[Analysis]) -> float:
    return fmean(right(a.question, a.answer) for a in outcomes)


@each_row("p", [0.7, 0.8, 0.9])
def test_three_independent_voices_reach_what_condorcet_says(p: float) -> None:
    outcomes = asked(Setting(p, same_wrong=1), 3)
    assert accuracy(outcomes) == pytest.approx(3 * p**2 - 2 * p**3, abs=0.04)


@each_row("p, copied", [(0.7, 0.5), (0.8, 0.3), (0.6, 0.9)])
def test_two_that_agree_are_right_as_often_as_shared_errors_allow(p: float, copied: float) -> None:
    # Both take the common error with `copied`; else one of ten other topics comes by chance.
    s = copied**2 + (1 - copied**2) / 10
    agreeing = [a for a in asked(Setting(p, same_wrong=copied), 2) if a.verdict.agreement == 1]
    assert len(agreeing) / ASKED == pytest.approx(p**2 + (1 - p) ** 2 * s, abs=0.04)
    assert accuracy(agreeing) == pytest.approx(p**2 / (p**2 + (1 - p) ** 2 * s), abs=0.05)


def test_voices_that_err_together_gain_nothing_from_being_three() -> None:
    gained = [accuracy(asked(Setting(0.8, correlation=c, same_wrong=1), 3)) - 0.8 for c in (0, 0.5, 1)]
    assert gained[0] == pytest.approx(0.096, abs=0.04)
    assert gained[2] == pytest.approx(0, abs=0.04)
    assert gained[0] > gained[1] > gained[2]


@cache
def talk(*, guided: bool) -> tuple[tuple[float, float, float], ...]:
    """Three providers answer, then revise twice, each told of one other's cause by lot.

    By round: share of right answers, share of unanimous questions, share right where unanimous. Unguided they
    believe it or not by the toss of a coin; guided they see right from wrong with .9.
    """
    setting = Setting(0.8, 0, 0.3, *((0.9, 0.1) if guided else (0.5, 0.5)))
    voices, lot = setting.providers(3, 5), random.Random(3)

    async def main() -> list[list[tuple[Question, list[Answer]]]]:
        rounds: list[list[tuple[Question, list[Answer]]]] = [[], [], []]
        for question in questions(TALKS, 5):
            answers = [await v.call(AskAnswer(question)) for v in voices]
            for held in rounds:
                held.append((question, answers))
                answers = [await told(v, question, answers, n, lot) for n, v in enumerate(voices)]
        return rounds

    return tuple(figures(held) for held in run(main())[0])


async def told(
    voice: Simulated, question: Question, answers: list[Answer], place: int, lot: random.Random
) -> Answer:
    own = answers[place]
    other = lot.choice([a for n, a in enumerate(answers) if n != place])
    return await voice.call(AskRevision(question, own, [Critique(own.root_cause, other.root_cause)]))


def figures(held: list[tuple[Question, list[Answer]]]) -> tuple[float, float, float]:
    unanimous = [(q, a) for q, a in held if len({x.root_cause for x in a}) == 1]
    return (
        fmean(right(q, x) for q, a in held for x in a),
        len(unanimous) / len(held),
        fmean(right(q, a[0]) for q, a in unanimous),
    )


def test_unguided_talk_makes_unanimous_not_right() -> None:
    (share, unanimous, trusted), *later = talk(guided=False)
    for share_then, unanimous_then, trusted_then in later:
        assert share_then == pytest.approx(share, abs=0.02)  # a martingale
        assert unanimous_then > unanimous + 0.05
        assert trusted_then < trusted - 0.015
        unanimous, trusted = unanimous_then, trusted_then


def test_guided_talk_makes_right() -> None:
    (share, _, trusted), *later = talk(guided=True)
    for share_then, _, trusted_then in later:
        assert share_then > share + 0.02
        assert trusted_then == pytest.approx(trusted, abs=0.01)
        share = share_then


def test_agreement_and_consensus_do_not_move_by_bouncing_and_the_answer_gets_better() -> None:
    setting = Setting(0.6, 0.2, 0.5, 0.9, 0.1)
    before, after = asked(setting, 3), asked(setting, 3, max_bounces=2)
    scores = [[(a.verdict.agreement, a.verdict.consensus) for a in side] for side in (before, after)]
    assert scores[0] == scores[1]
    bounced = [i for i, a in enumerate(after) if a.bounces]
    assert len(bounced) > 120
    gain = accuracy([after[i] for i in bounced]) - accuracy([before[i] for i in bounced])
    assert gain > 0.15


def test_bouncing_among_blind_graders_gains_nothing() -> None:
    setting = Setting(0.6, 0.3, 0.5, 0.5, 0.5)
    gain = accuracy(asked(setting, 3, max_bounces=2)) - accuracy(asked(setting, 3))
    assert gain == pytest.approx(0, abs=0.04)


def test_graders_take_right_and_wrong_for_right_at_the_rates_set() -> None:
    outcomes = asked(Setting(0.6, same_wrong=0.5, true_positive=0.85, false_positive=0.15), 3)
    seen: dict[bool, list[bool]] = {True: [], False: []}
    for analysis in outcomes:
        by_name = {a.provider: right(analysis.question, a) for a in analysis.answers}
        for review in analysis.reviews:
            seen[by_name[review.subject]].append(review.grade.correctness.value >= 3)
    assert fmean(seen[True]) == pytest.approx(0.85, abs=0.03)
    assert fmean(seen[False]) == pytest.approx(0.15, abs=0.03)
