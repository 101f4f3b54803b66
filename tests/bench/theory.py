"""What is known of votes, copied errors, talk and lost grades, on simulated providers."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from math import sqrt
from pathlib import Path
from statistics import fmean

from techsapo_ops.wallbounce.analysis import Analysis
from techsapo_ops.wallbounce.answers import Answer, Critique
from techsapo_ops.wallbounce.providers.provider import AskAnswer, AskRevision
from techsapo_ops.wallbounce.providers.simulated import Simulated
from techsapo_ops.wallbounce.question import PANELS, TIERS, Question, TierRule
from techsapo_ops.wallbounce.verdict.learning import estimate, learn
from techsapo_ops.wallbounce.verdict.record import Labelled, record_of
from tests.bench.row import Row

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "wallbounce"))

from garbling import Garbling
from laboratory import Setting, analyses, questions, right
from panel_simulation.figures import NOW, auroc, ece
from scripted import USUAL_TIERS
from virtual import run as at_once

HELD_OUT = [Setting(*knobs, 0.85, 0.15) for knobs in product((0.65, 0.75), (0.15, 0.25), (0.2, 0.3))]
ASKED = 800
TALKS = 1500
SIGMAS = 3.0
"""Standard errors that a share may lie from what theory says."""
Judged = Sequence[tuple[Analysis, bool]]
Talk = tuple[float, float, float]


def run() -> Iterator[Row]:
    """Yield votes, then talk, then grades."""
    yield from _votes()
    yield from _talks()
    yield from _bounces()
    yield from _lost_grades()
    yield from _two_alone()


def _votes() -> Iterator[Row]:
    for p in (0.7, 0.8, 0.9):
        share = accuracy(asked(Setting(p, same_wrong=1), 3))
        yield _near(f"vote of three, each {p}", share, 3 * p**2 - 2 * p**3, ASKED)
    for p, copied in ((0.7, 0.5), (0.8, 0.3), (0.6, 0.9)):
        # Both take the common error with `copied`; else one of ten other topics comes by chance.
        same = (1 - p) ** 2 * (copied**2 + (1 - copied**2) / 10)
        agreeing = [a for a in asked(Setting(p, same_wrong=copied), 2) if a.verdict.agreement == 1]
        yield _near(f"two agree, each {p}", len(agreeing) / ASKED, p**2 + same, ASKED)
        yield _near("right where they agree", accuracy(agreeing), p**2 / (p**2 + same), len(agreeing))
    gained = [accuracy(asked(Setting(0.8, correlation=c, same_wrong=1), 3)) - 0.8 for c in (0, 0.5, 1)]
    yield Row("gain, errors half shared", gained[1], gained[0], 0.99, "", digits=4)
    yield Row("gain, errors all shared", gained[2], gained[0], 0.4, "", digits=4)


def _talks() -> Iterator[Row]:
    (share, unanimous, trusted), *later = talk(guided=False)
    for share_then, unanimous_then, trusted_then in later:
        yield _near("right after unguided talk", share_then, share, 3 * TALKS)  # a martingale
        yield Row("not unanimous after it", 1 - unanimous_then, 1 - unanimous, 0.9, "", digits=4)
        yield Row("wrong if unanimous before it", 1 - trusted, 1 - trusted_then, 0.9, "", digits=4)
        unanimous, trusted = unanimous_then, trusted_then
    (share, _, _), *guided = talk(guided=True)
    for (share_then, _, trusted), (_, _, astray) in zip(guided, later, strict=True):
        yield Row("wrong after guided talk", 1 - share_then, 1 - share, 0.9, "", digits=4)
        yield Row("wrong if unanimous, guided", 1 - trusted, 1 - astray, 0.5, "", digits=4)
        share = share_then


def _bounces() -> Iterator[Row]:
    before, after = (asked(Setting(0.6, 0.2, 0.5, 0.9, 0.1), 3, max_bounces=n) for n in (0, 2))
    bounced = [i for i, a in enumerate(after) if a.bounces]
    wrong = [1 - accuracy([side[i] for i in bounced]) for side in (after, before)]
    yield Row(f"wrong after a bounce ({len(bounced)})", *wrong, 0.8, "", digits=4)
    blind = [accuracy(asked(Setting(0.6, 0.3, 0.5, 0.5, 0.5), 3, max_bounces=n)) for n in (0, 2)]
    yield _near("right, graders are blind", blind[1], blind[0], ASKED)
    seen: dict[bool, list[bool]] = {True: [], False: []}
    for analysis in asked(Setting(0.6, same_wrong=0.5, true_positive=0.85, false_positive=0.15), 3):
        by_name = {a.provider: right(analysis.question, a) for a in analysis.answers}
        for review in analysis.reviews:
            if (correctness := review.grade.correctness) is not None:
                seen[by_name[review.subject]].append(correctness.value >= 3)
    for truth, rate in ((True, 0.85), (False, 0.15)):
        yield _near(f"graded right, is {truth}", fmean(seen[truth]), rate, len(seen[truth]))


def _lost_grades() -> Iterator[Row]:
    whole, patchy, torn = (garbled(share) for share in (0.0, 0.2, 0.4))
    for name, judged in (("a fifth lost", patchy), ("two fifths lost", torn)):
        accepted = [correct for a, correct in judged if a.verdict.accepted]
        every = [correct for _, correct in judged]
        yield Row(f"wrong if accepted, {name}", 1 - fmean(accepted), 1 - fmean(every), 0.2, "", digits=4)
    shares = [fmean(a.verdict.accepted for a, _ in side) for side in (whole, patchy)]
    yield Row("accepted, nothing lost", *shares, 1 / 0.7, "", digits=4)
    whole_figures, figures = (
        [(a.verdict.confidence, 1, int(y)) for a, y in side] for side in (whole, patchy)
    )
    yield Row("calibration error, a fifth lost", ece(figures), ece(whole_figures), 1.5, "", digits=4)
    misranked = [1 - auroc(side) for side in (figures, whole_figures)]
    yield Row("ranked wrongly, a fifth lost", *misranked, 1.5, "", digits=4)


def _two_alone() -> Iterator[Row]:
    """The limit of two providers with nobody to escalate to, told in docs/wall-bounce.md."""
    made = [
        (a, Labelled(record_of(a, USUAL_TIERS[a.tier]), float(right(a.question, a.answer)), NOW))
        for n, s in enumerate(s for s in HELD_OUT if s.accuracy == 0.75)
        for a in analyses(s.providers(2, 77 + n), questions(150, 77 + n), "basic")
    ]
    fitted = learn([label for _, label in made], NOW)
    ranked = auroc([(estimate(x.record, fitted).value, 1, int(x.right)) for _, x in made])
    print(f"two providers alone: AUROC {ranked:.3f}")
    kept = [x.right for a, x in made if a.verdict.accepted]
    other = [x.right for a, x in made if not a.verdict.accepted]
    yield Row("two alone: wrong if accepted", 1 - fmean(kept), 1 - fmean(other), 0.5, "", digits=4)


def _near(name: str, share: float, expected: float, count: int) -> Row:
    """How far a share of `count` lies from what is expected, beside the standard error of such a share."""
    return Row(name, abs(share - expected), sqrt(expected * (1 - expected) / count), SIGMAS, "", digits=4)


@cache
def asked(setting: Setting, providers: int, *, max_bounces: int = 0) -> tuple[Analysis, ...]:
    """Analyses in which nobody is left to escalate to."""
    tiers = dict.fromkeys(TIERS, TierRule(providers, 0.8, 0.6))
    voices = setting.providers(providers, 1)
    made = analyses(voices, questions(ASKED, 1), "premium", tiers=tiers, max_bounces=max_bounces)
    return tuple(made)


def accuracy(outcomes: Sequence[Analysis]) -> float:
    """Share of right answers."""
    return fmean(right(a.question, a.answer) for a in outcomes)


def talk(*, guided: bool) -> list[Talk]:
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
                answers = [await _told(v, question, answers, n, lot) for n, v in enumerate(voices)]
        return rounds

    return [_figures(held) for held in at_once(main())[0]]


async def _told(
    voice: Simulated, question: Question, answers: list[Answer], place: int, lot: random.Random
) -> Answer:
    own = answers[place]
    other = lot.choice([a for n, a in enumerate(answers) if n != place])
    return await voice.call(AskRevision(question, own, [Critique(own.root_cause, other.root_cause)]))


def _figures(held: list[tuple[Question, list[Answer]]]) -> Talk:
    unanimous = [(q, a) for q, a in held if len({x.root_cause for x in a}) == 1]
    return (
        fmean(right(q, x) for q, a in held for x in a),
        len(unanimous) / len(held),
        fmean(right(q, a[0]) for q, a in unanimous),
    )


def garbled(share: float) -> Judged:
    """Analyses of all tiers by four providers of whose grades that share is lost; whether each is right."""
    found = []
    for n, setting in enumerate(HELD_OUT[:4]):
        for tier in PANELS:
            voices = [Garbling(p, share, n * 10 + i) for i, p in enumerate(setting.providers(4, 500 + n))]
            made = analyses(voices, questions(40, 500 + n), tier)
            found += [(a, right(a.question, a.answer)) for a in made]
    return found
