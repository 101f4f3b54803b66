"""What confidence is worth after 30, 100 and 300 labels, on simulated panels and seeds that no fit saw."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from math import ceil, floor, sqrt
from pathlib import Path
from statistics import fmean

from tests.bench.row import Row

sys.path.insert(0, str(Path(__file__).parents[1]))

from panel_simulation.figures import (
    Cell,
    Judged,
    auroc,
    cells,
    earlier,
    ece,
    judged,
    learnt,
    oracle,
    shown,
    sure,
)
from panel_simulation.panels import Drawn, Setting, draw
from panel_simulation.settings import ALL, KNOWN, REPLACED, STUBBORN, TWO_LEFT, USUAL

from techsapo_ops.wallbounce.verdict.calibration import Calibration
from techsapo_ops.wallbounce.verdict.proposal import estimate_of

FRESH, DRAWS, PANELS = 20_000, 20, 30
MEAN = {30: 0.08, 100: 0.05, 300: 0.03}
"""Largest mean ECE by number of labels."""
P90 = {30: 0.14, 100: 0.08, 300: 0.05}
NEAR = 100
"""Fresh panels of the same look from which their share of rights is taken for the truth."""


@dataclass(slots=True)
class Learnt:
    """What was reached with a number of labels, by draw."""

    ece: list[float] = field(default_factory=list)
    auroc: list[float] = field(default_factory=list)
    earlier_ece: list[float] = field(default_factory=list)
    earlier_auroc: list[float] = field(default_factory=list)
    sure: int = 0
    sure_right: int = 0
    low_sure: int = 0
    low_sure_right: int = 0
    covered: int = 0

    @property
    def p90(self) -> float:
        """The ninetieth percentile of the ECE: of twenty draws, the third worst."""
        return sorted(self.ece)[ceil(0.9 * len(self.ece)) - 1]


@cache
def fresh(setting: Setting, seed: str = "held back") -> list[Cell]:
    """Answers that nothing was learnt from."""
    return cells(draw(setting, FRESH, seed))


def run() -> Iterator[Row]:
    """Print every setting, then yield the bounds."""
    for setting in ALL:
        yield from _setting(setting, bounds=setting in USUAL)
    yield from _replaced()
    yield from _always_wrong()


def _setting(setting: Setting, *, bounds: bool) -> Iterator[Row]:
    best = judged(fresh(setting), oracle(fresh(setting, "seen by the oracle alone")))
    wanted, wanted_right = sure(best)
    print(
        f"{setting.name}: simulated, {_right(best):.3f} right; oracle ECE {ece(best):.3f} "
        f"AUROC {auroc(best):.3f}, {wanted / FRESH:.2f} at .9 or more, "
        f"{wanted_right / max(1, wanted):.3f} right"
    )
    for count, most in MEAN.items():
        made = measured(setting, count)
        print(
            f"  {count:3} labels: ECE {fmean(made.ece):.3f} p90 {made.p90:.3f} "
            f"AUROC {fmean(made.auroc):.3f}, "
            f"earlier method {fmean(made.earlier_ece):.3f} {fmean(made.earlier_auroc):.3f}; "
            f"at .9 or more {made.sure / FRESH / DRAWS:.2f}, "
            f"{made.sure_right / max(1, made.sure):.3f} right; "
            f"lower end at .9 or more {made.low_sure / FRESH / DRAWS:.2f}, "
            f"{made.low_sure_right / max(1, made.low_sure):.3f} right; "
            f"intervals cover {made.covered / DRAWS / PANELS:.3f}"
        )
        if not bounds:
            continue
        name = f"{setting.name}, {count} labels"
        yield _most(f"{name}: ECE", fmean(made.ece), fmean(made.earlier_ece), most)
        yield _most(f"{name}: ECE p90", made.p90, max(made.earlier_ece), P90[count])
        uncovered = 1 - made.covered / DRAWS / PANELS
        yield Row(f"{name}: outside interval", uncovered, 0.07, 1.0, "", digits=4)
        if count == 300:
            ranked = [1 - fmean(x) for x in (made.auroc, made.earlier_auroc)]
            yield Row(f"{name}: ranked wrongly", *ranked, 1.0, "", digits=4)
            low = estimate_of(made.sure_right / DRAWS, made.sure // DRAWS).low if made.sure else 1.0
            yield Row(f"{name}: wrong at >= .9", 1 - low, 0.1, 1.0, "", digits=4)
            share = made.sure / DRAWS
            yield Row(f"{name}: sure, by the oracle's", wanted, max(1.0, share), 2.0, "", digits=0)
        elif count == 30:
            yield Row(f"{name}: lower end >= .9", made.low_sure, 1.0, 0.0, "", digits=0)


def measured(setting: Setting, count: int) -> Learnt:
    """So many labels learnt from, in twenty draws, and tried on the fresh answers."""
    made, answers = Learnt(), fresh(setting)
    truth = _truth(answers)
    for turn in range(DRAWS):
        seed = f"held back {count} {turn}"
        fitted = learnt(setting, count, seed)
        said = [shown(cell.panel, fitted) for cell in answers]
        values: list[Judged] = [(e.value, c.count, c.right) for e, c in zip(said, answers, strict=True)]
        before = judged(answers, earlier(draw(setting, count, seed)))
        made.ece.append(ece(values))
        made.auroc.append(auroc(values))
        made.earlier_ece.append(ece(before))
        made.earlier_auroc.append(auroc(before))
        number, right = sure(values)
        made.sure, made.sure_right = made.sure + number, made.sure_right + right
        number, right = sure([(e.low, c.count, c.right) for e, c in zip(said, answers, strict=True)])
        made.low_sure, made.low_sure_right = made.low_sure + number, made.low_sure_right + right
        made.covered += _covered(draw(setting, 4 * PANELS, f"{seed} printed"), fitted, truth)
    return made


def _look(panel: Drawn) -> tuple[object, ...]:
    """What panels that look alike have in common."""
    evidence = panel.evidence
    return evidence.chosen, evidence.stood, round((evidence.grade or 0.0) * 12 * (evidence.count - 1))


def _truth(answers: Sequence[Cell]) -> dict[tuple[object, ...], float]:
    sums: dict[tuple[object, ...], list[int]] = {}
    for cell in answers:
        both = sums.setdefault(_look(cell.panel), [0, 0])
        both[0] += cell.count
        both[1] += cell.right
    return {look: right / count for look, (count, right) in sums.items() if count >= NEAR}


def _covered(panels: Sequence[Drawn], fitted: Calibration, truth: dict[tuple[object, ...], float]) -> int:
    """Of the first thirty whose truth is known, how many have it in the interval as it is printed."""
    known = [panel for panel in panels if _look(panel) in truth][:PANELS]
    said = [(shown(panel, fitted), truth[_look(panel)]) for panel in known]
    return sum(floor(100 * e.low) / 100 <= share <= ceil(100 * e.high) / 100 for e, share in said)


def _replaced() -> Iterator[Row]:
    """One of three models is replaced: the same weights, before any label of the new one."""
    for count in MEAN:
        before, after = [], []
        for turn in range(DRAWS):
            fitted = learnt(KNOWN, count, f"held back {count} {turn}")
            for errors, setting in ((before, KNOWN), (after, REPLACED)):
                errors.append(ece(judged(fresh(setting), lambda panel, f=fitted: shown(panel, f).value)))
        yield Row(f"ECE, one replaced, {count} labels", fmean(after), fmean(before), 1.5, "", digits=4)


def _always_wrong() -> Iterator[Row]:
    """One of three is always wrong: what is accepted, beside the other two alone."""
    for count in MEAN:
        shares, rights = {}, {}
        for setting in (STUBBORN, TWO_LEFT):
            taken = right = 0
            for turn in range(DRAWS):
                fitted = learnt(setting, count, f"held back {count} {turn}")
                for cell in fresh(setting):
                    panel = cell.panel
                    weights = fitted.weights(
                        panel.tier, panel.models, panel.evidence.chosen, panel.evidence.stood
                    )
                    if panel.verdict(weights).accepted:
                        taken, right = taken + cell.count, right + cell.right
            shares[setting], rights[setting] = taken / FRESH / DRAWS, right / max(1, taken)
        print(
            f"one of three always wrong, {count} labels: accepted {shares[STUBBORN]:.3f}, "
            f"{rights[STUBBORN]:.3f} of them right; the two alone {shares[TWO_LEFT]:.3f}, "
            f"{rights[TWO_LEFT]:.3f}"
        )
        yield Row(
            f"accepted by two alone, {count} labels",
            shares[TWO_LEFT],
            max(1e-9, shares[STUBBORN]),
            1 / 0.8,
            "",
            digits=4,
        )
        wrong = [1 - rights[setting] for setting in (STUBBORN, TWO_LEFT)]
        apart = 2 * sqrt(2 * wrong[1] * (1 - wrong[1]) / (FRESH * shares[STUBBORN]))  # two standard errors
        yield Row(f"wrong if accepted, {count} labels", *wrong, 1 + apart / wrong[1], "", digits=4)


def _right(answers: Sequence[Judged]) -> float:
    return sum(right for _, _, right in answers) / sum(count for _, count, _ in answers)


def _most(name: str, value: float, before: float, most: float) -> Row:
    """A figure beside the earlier method's; the bound is on the figure itself."""
    return Row(name, value, before, most / before, "", digits=4)
