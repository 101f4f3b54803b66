"""What a way of scoring is worth on many panels: calibration error, ranking, and what it shows as sure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import sqrt

from panel_simulation.panels import Drawn, Setting, draw
from techsapo_ops.wallbounce.verdict.calibration import Calibration
from techsapo_ops.wallbounce.verdict.learning import Row, estimated, learn, posterior
from techsapo_ops.wallbounce.verdict.record import Labelled
from techsapo_ops.wallbounce.verdict.verdict import (
    CONTRADICTED_CAP,
    PROVISIONAL,
    Estimate,
    Evidence,
    cap_of,
    features,
    sigmoid,
)

BINS = 10
SURE = 0.9
NOW = datetime(2026, 1, 1, tzinfo=UTC)
Judged = tuple[float, int, int]
"""What was said of some answers, how many they are, and how many of them are right."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Panels that look the same, how many there are, and how many chose a right answer."""

    panel: Drawn
    count: int
    right: int


def cells(panels: Iterable[Drawn]) -> list[Cell]:
    """`panels`, those put together that no way of scoring can tell apart."""
    first: dict[Evidence, Drawn] = {}
    counts: Counter[Evidence] = Counter()
    rights: Counter[Evidence] = Counter()
    for panel in panels:
        first.setdefault(panel.evidence, panel)
        counts[panel.evidence] += 1
        rights[panel.evidence] += panel.right
    return [Cell(panel, counts[key], rights[key]) for key, panel in first.items()]


def ece(judged: Sequence[Judged]) -> float:
    """Expected calibration error over ten equally wide bins (Naeini et al. 2015)."""
    sums = [0.0] * BINS
    for value, count, right in judged:
        sums[min(BINS - 1, int(value * BINS))] += count * value - right
    return sum(map(abs, sums)) / sum(count for _, count, _ in judged)


def auroc(judged: Sequence[Judged]) -> float:
    """Chance that a right answer scores above a wrong one, ties counting half (Mann-Whitney U)."""
    by_value: dict[float, list[int]] = {}
    for value, count, right in judged:
        both = by_value.setdefault(value, [0, 0])
        both[0] += right
        both[1] += count - right
    below, won = 0, 0.0
    for _, (right, wrong) in sorted(by_value.items()):
        won += right * (below + wrong / 2)
        below += wrong
    rights = sum(right for right, _ in by_value.values())
    return won / (rights * below) if rights and below else 0.5


def sure(judged: Sequence[Judged]) -> tuple[int, int]:
    """How many answers are shown as .9 or more, and how many of those are right."""
    shown = [(count, right) for value, count, right in judged if value >= SURE]
    return sum(count for count, _ in shown), sum(right for _, right in shown)


def labels(setting: Setting, count: int, seed: str) -> list[Labelled]:
    """`count` labelled records of `setting`, all given just now."""
    return [Labelled(panel.record(), float(panel.right), NOW) for panel in draw(setting, count, seed)]


def learnt(setting: Setting, count: int, seed: str, unlabelled: int = 200) -> Calibration:
    """What so many labels teach, beside records that nobody labelled."""
    others = [panel.record() for panel in draw(setting, unlabelled, f"{seed} unlabelled")]
    return learn(labels(setting, count, seed), NOW, others)


Score = Callable[[Drawn], float]


def shown(panel: Drawn, calibration: Calibration) -> Estimate:
    """What is shown of the panel's answer."""
    weights = calibration.weights(panel.tier, panel.models, panel.evidence.chosen, panel.evidence.stood)
    return estimated(panel.evidence, weights)


def judged(cells_: Iterable[Cell], score: Score) -> list[Judged]:
    """What `score` says of each cell."""
    return [(score(cell.panel), cell.count, cell.right) for cell in cells_]


def earlier(panels: Sequence[Drawn]) -> Score:
    """The earlier method: a logistic regression of these labels alone, under caps that labels raise.

    Below fifty labels, or where all have one outcome, the provisional weights stay.
    """
    rights = sum(panel.right for panel in panels)
    if len(panels) < 50 or rights in {0, len(panels)}:
        return lambda panel: _capped(panel, _raw(panel, _PROVISIONAL), 0.0, 0.0)
    mean = family(cells(panels), ridge=0.01)

    def bears_out(cap: float, contradicted: bool) -> float:
        above = [p.right for p in panels if p.evidence.contradicted is contradicted and _raw(p, mean) > cap]
        low = _wilson_low(sum(above), len(above))
        return low if low > cap else 0.0

    ceilings = bears_out(cap_of(panels[0].evidence.count), False), bears_out(CONTRADICTED_CAP, True)
    return lambda panel: _capped(panel, _raw(panel, mean), *ceilings)


def oracle(cells_: Sequence[Cell]) -> Score:
    """The best that the three weights can say where every answer of `cells_` has a label."""
    mean = family(cells_, ridge=0.01, size=5)
    return lambda panel: _raw(panel, mean)


def family(cells_: Sequence[Cell], ridge: float, size: int = 3) -> list[float]:
    """The first weights of a plain logistic regression on all of `cells_`."""
    rows: Counter[tuple[float, ...]] = Counter()
    rights: Counter[tuple[float, ...]] = Counter()
    for cell in cells_:
        key = features(cell.panel.evidence)[:size]
        rows[key] += cell.count
        rights[key] += cell.right
    made: list[Row] = [(tuple(enumerate(x)), rights[x] / count, float(count)) for x, count in rows.items()]
    precision = [[ridge * (i == j) for j in range(size)] for i in range(size)]
    return posterior(made, [0.0] * size, precision)[0]


_PROVISIONAL = PROVISIONAL.mean[:3]


def _raw(panel: Drawn, mean: Sequence[float]) -> float:
    return sigmoid(sum(a * b for a, b in zip(mean, features(panel.evidence), strict=False)))


def _capped(panel: Drawn, raw: float, by_count: float, by_claim: float) -> float:
    highest = max(cap_of(panel.evidence.count), by_count)
    if panel.evidence.contradicted:
        highest = min(highest, max(CONTRADICTED_CAP, by_claim))
    return min(raw, highest)


def _wilson_low(right: int, count: int, z: float = 1.645) -> float:
    if not count:
        return 0.0
    share, slack = right / count, z * z / count
    return (share + slack / 2 - z * sqrt(share * (1 - share) / count + slack / (4 * count))) / (1 + slack)
