"""What a cascade is worth beside its panel and beside others for the same money, on simulated panels.

The first and the checker are two of the panel's models: the check agrees where their own answers are the same
and grades by what the checker believes. That a check agrees like a blind answer is the simulator's assumption
and can't be measured here; it costs less, which can.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from techsapo_ops.wallbounce.question import TierRule
from techsapo_ops.wallbounce.verdict.next_step import outcome
from techsapo_ops.wallbounce.verdict.verdict import PROVISIONAL, Evidence, Outcome, Verdict, judge
from tests.bench.row import Row

sys.path.insert(0, str(Path(__file__).parents[1]))

from panel_simulation.panels import Drawn, Setting, draw
from panel_simulation.settings import FRIENDLY, KNOWN, MEASURED, STRESS_8, STRESS_9

COUNT = 20_000
RULE = TierRule(2, 0.8, 0.6)
DANGEROUS = 0.05
"""Share of questions that name what can't be undone."""
PRICES = {3: ((3.0, 15.0), (1.25, 10.0), (0.3, 2.5)), 2: ((0.3, 2.5), (3.0, 15.0))}
"""USD per million tokens read and written, by number and place of the models."""
PROMPT, ANSWER, SHOWN, GRADE = 1_500, 600, 700, 300
"""Tokens: question and instructions, an answer, an answer that others are shown, the grade of one."""
REPEATED = 0.85
"""How often another sample of a model is its first answer again; otherwise it is a new draw."""
SEES = 0.55
"""How far apart a router sees questions that the cheap model gets right and wrong, in standard deviations:
an AUROC of .65."""
ROUTER = 0.7
"""What a router may spend at most, as a share of the best single model's price: what it is there for."""
MISSED = frozenset(
    {
        "friendly: money/right, panel",
        "measured pair: money/right, panel",
        "phi .8: money/right, sampled",
        "phi .9: money/right, sampled",
        *(f"{name}: right if accepted, points" for name in ("friendly", "phi .53", "phi .8", "phi .9")),
        *(f"{name}: accepted, points" for name in ("friendly", "phi .53", "phi .8", "phi .9")),
    }
)
"""Targets that a cascade does not reach: printed as missed, and no bound of `make bench`."""
COVERAGES = (0.5, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class Given:
    """What one way made of one question."""

    right: bool
    usd: float
    sure: float
    answered: bool = True
    accepted: bool = True
    calls: int = 1


Way = list[Given]


@dataclass(frozen=True, slots=True)
class Money:
    """What calls to the models of a panel cost, in USD."""

    prices: Sequence[tuple[float, float]]

    def answer(self, voice: int) -> float:
        return self._usd(voice, PROMPT, ANSWER)

    def grade(self, voice: int, peers: int, own: bool) -> float:
        return self._usd(voice, PROMPT + SHOWN * (peers + own), GRADE * peers)

    def panel(self) -> float:
        every = range(len(self.prices))
        return sum(self.answer(v) + self.grade(v, len(self.prices) - 1, True) for v in every)

    def _usd(self, voice: int, read: int, written: int) -> float:
        price = self.prices[voice]
        return (read * price[0] + written * price[1]) / 1e6

    @property
    def order(self) -> list[int]:
        """The models, the cheapest first."""
        return sorted(range(len(self.prices)), key=self.answer)


def run() -> Iterator[Row]:
    """Print every way on every setting, then yield the bounds."""
    for setting in (FRIENDLY, KNOWN, STRESS_8, STRESS_9, MEASURED):
        ways, handed = measured(setting)
        print(f"{setting.name}: the panel sits for {handed:.3f} of {COUNT} questions (simulated)")
        for name, way in ways.items():
            print(f"  {name:26} {_line(way)}  risk at coverage {_curve(way)}")
        for row in _rows(setting.name, ways):
            if row.name in MISSED:
                print(f"  {row}")
            else:
                yield row


def measured(setting: Setting) -> tuple[dict[str, Way], float]:
    """Every way by name, on the same questions; the share of a cascade's that its panel sat for."""
    drawn, money = draw(setting, COUNT, "cascade"), Money(PRICES[len(setting.voices)])
    rng = random.Random(f"ways {setting.name}")
    panel = [_by_panel(d, money.panel()) for d in drawn]
    cascade = [_cascade(d, money, p, rng.random() < DANGEROUS) for d, p in zip(drawn, panel, strict=True)]
    blind = [_blindly(c, money) for c in cascade]
    best = max(range(len(setting.voices)), key=lambda v: setting.voices[v].accuracy)
    spent = fmean(g.usd for g in cascade)
    samples = max(1, round(spent / money.answer(best)))
    accuracy = setting.voices[best].accuracy
    ways = {
        "panel": panel,
        "cascade": cascade,
        "cascade, own blind answer": blind,
        "best single": [Given(d.rights[best], money.answer(best), rng.random()) for d in drawn],
        f"best single, {samples} samples": [
            _sampled(d.rights[best], accuracy, samples, money.answer(best), rng) for d in drawn
        ],
        "router": _routed(drawn, best, money, min(spent, ROUTER * money.answer(best)), rng),
    }
    return ways, fmean(g.calls > 2 for g in cascade)


def _by_panel(drawn: Drawn, usd: float) -> Given:
    count = len(drawn.members)
    return _given(drawn.verdict(), drawn.right, usd, 2 * count)


def _cascade(drawn: Drawn, money: Money, panel: Given, dangerous: bool) -> Given:
    first, checker = money.order[:2]
    if dangerous:
        return panel
    close = next(c for i, j, c in drawn.evidence.closeness if {i, j} == {first, checker})
    score = next(s for g, of, s in drawn.grades if (g, of) == (checker, first))
    agrees = close > 0.5
    evidence = Evidence(
        2,
        0,
        (0, 1) if agrees else (0,),
        close,
        score,
        (True, agrees),
        graders=1,
        contradicted=not agrees,
        scores=((1, score),),
        closeness=((0, 1, close),),
    )
    verdict = judge(evidence, RULE, PROVISIONAL)
    usd = money.answer(first) + money.grade(checker, 1, False)
    if verdict.accepted:
        return _given(verdict, drawn.rights[first], usd, 2)
    usd += panel.usd - money.answer(first)
    return Given(panel.right, usd, panel.sure, panel.answered, panel.accepted, panel.calls + 1)


def _blindly(checked: Given, money: Money) -> Given:
    """The same where the checker answers blind first, and both grade: what its calls cost more."""
    first, checker = money.order[:2]
    if checked.calls > 2:  # its answer is the panel's already, and its grade is given there
        saved = money.grade(checker, 1, False) if checked.calls % 2 else 0.0
        more = -saved + (money.grade(first, 1, True) + money.grade(checker, 1, True) if saved else 0.0)
    else:
        more = money.answer(checker) + money.grade(first, 1, True)
        more += money.grade(checker, 1, True) - money.grade(checker, 1, False)
    return Given(
        checked.right,
        checked.usd + more,
        checked.sure,
        checked.answered,
        checked.accepted,
        checked.calls,
    )


def _given(verdict: Verdict, right: bool, usd: float, calls: int) -> Given:
    came, _ = outcome(verdict, "top" if not verdict.accepted else None)
    return Given(right, usd, verdict.confidence, came is not Outcome.REFUSED, verdict.accepted, calls)


def _sampled(right: bool, accuracy: float, samples: int, usd: float, rng: random.Random) -> Given:
    """The most frequent of `samples` answers of one model; wrong ones are taken for the same."""
    votes = [right] + [
        right if rng.random() < REPEATED else rng.random() < accuracy for _ in range(samples - 1)
    ]
    share = fmean(votes)
    chosen = votes[0] if share == 0.5 else share > 0.5
    return Given(chosen, usd * samples, max(share, 1 - share) + rng.random() / 1e6, calls=samples)


def _routed(drawn: Sequence[Drawn], best: int, money: Money, spent: float, rng: random.Random) -> Way:
    """The cheap model where the question looks easy, else the best; as many to the best as `spent` pays."""
    cheap = money.order[0]
    low, high = money.answer(cheap), money.answer(best)
    share = min(1.0, max(0.0, (spent - low) / (high - low)))
    looks = [SEES * d.rights[cheap] + rng.gauss(0, 1) for d in drawn]
    line = sorted(looks)[min(len(looks) - 1, int(share * len(looks)))]
    return [
        Given(d.rights[cheap], low, look) if look > line else Given(d.rights[best], high, look)
        for d, look in zip(drawn, looks, strict=True)
    ]


def per_right(way: Way) -> float:
    """USD for each right answer that was given."""
    return sum(g.usd for g in way) / sum(g.right and g.answered for g in way)


def accuracy(way: Way) -> float:
    """Share of accepted answers that are right."""
    return fmean(g.right for g in way if g.accepted)


def right(way: Way) -> float:
    """Share of right ones of all answers, accepted or not."""
    return fmean(g.right for g in way)


def accepted(way: Way) -> float:
    """Share of questions whose answer is accepted."""
    return fmean(g.accepted for g in way)


def risk(way: Way, coverage: float) -> float:
    """Share of wrong ones among the surest `coverage` of the answers; ties fall by lot."""
    rng = random.Random("ties")
    surest = sorted(way, key=lambda g: (-g.sure, rng.random()))[: round(coverage * len(way))]
    return 1 - fmean(g.right for g in surest)


def _line(way: Way) -> str:
    return (
        f"${1000 * per_right(way):6.2f}/1000 right  right {right(way):.3f}  accepted {accepted(way):.3f}"
        f"  right if accepted {accuracy(way):.3f}"
    )


def _curve(way: Way) -> str:
    return "  ".join(f"{c:.1f}: {risk(way, c):.3f}" for c in COVERAGES)


def _rows(name: str, ways: dict[str, Way]) -> Iterator[Row]:
    panel, cascade = ways["panel"], ways["cascade"]
    sampled = next(way for each, way in ways.items() if each.endswith("samples"))
    usd = [1000 * per_right(way) for way in (cascade, panel, sampled)]
    yield Row(f"{name}: money/right, panel", usd[0], usd[1], 0.5, "USD", digits=3)
    yield Row(f"{name}: money/right, sampled", usd[0], usd[2], 1.0, "USD", digits=3)
    for what, figure in (("right", right), ("right if accepted", accuracy), ("accepted", accepted)):
        points = 100 * abs(figure(panel) - figure(cascade))
        yield Row(f"{name}: {what}, points", points, 1, 2 if figure is accepted else 1, "", digits=2)
