"""Logistic regression and the figures that say how good a probability is, in plain Python.

Three weights need no numerical library: a Newton step is a 3 x 3 system.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, fsum, log1p

from techsapo_ops.wallbounce.verdict import Weights, sigmoid

RIDGE = 0.01
"""Penalty on the two slopes: too small to matter, but finite weights where A or G part right from wrong."""
STEPS = 50
TOLERANCE = 1e-8
BINS = 10
Row = tuple[float, float, bool]
"""A, G, correct."""
Judged = tuple[float, bool]
"""A probability, and what came."""


def fit(rows: Sequence[Row]) -> Weights:
    """Weights of the logistic regression of `correct` on A and G, by Newton's method (IRLS).

    Steps are halved while they worsen the penalised likelihood, so that it converges from any start. Raises
    ValueError where all outcomes are the same: nothing can be learnt from them.
    """
    outcomes = {correct for _, _, correct in rows}
    if len(outcomes) < 2:
        raise ValueError("all labels have the same outcome")
    counts: dict[Row, int] = {}
    for row in rows:
        counts[row] = counts.get(row, 0) + 1
    cells = list(counts.items())
    w = [0.0, 0.0, 0.0]
    loss = _loss(w, cells)
    for _ in range(STEPS):
        gradient, hessian = _derivatives(w, cells)
        step = solve(hessian, gradient)
        scale = 1.0
        while True:
            new = [a + scale * b for a, b in zip(w, step, strict=True)]
            better = _loss(new, cells)
            if better <= loss or scale < TOLERANCE:
                break
            scale /= 2
        w, moved, loss = new, max(abs(scale * b) for b in step), better
        if moved < TOLERANCE:
            break
    return Weights(w[0], w[1], w[2], calibrated=True)


def ece(judged: Sequence[Judged], bins: int = BINS) -> float:
    """Expected calibration error over equally wide bins (Naeini et al. 2015).

    The mean of |confidence - share right| over the bins, weighted by what falls into each.
    """
    held: list[list[Judged]] = [[] for _ in range(bins)]
    for probability, correct in judged:
        held[min(bins - 1, int(probability * bins))].append((probability, correct))
    gaps = (abs(fsum(p for p, _ in cell) - sum(c for _, c in cell)) for cell in held)
    return fsum(gaps) / len(judged)


def brier(judged: Sequence[Judged]) -> float:
    """Mean squared distance of probability and outcome (Brier 1950)."""
    return fsum((p - correct) ** 2 for p, correct in judged) / len(judged)


def auroc(judged: Sequence[Judged]) -> float:
    """Chance that a right answer scores above a wrong one, ties counting half (Mann-Whitney U).

    0.5 where all outcomes are the same.
    """
    ordered = sorted(judged)
    right = sum(correct for _, correct in ordered)
    wrong = len(ordered) - right
    if not right or not wrong:
        return 0.5
    ranks, start = 0.0, 0
    while start < len(ordered):
        end = start
        while end < len(ordered) and ordered[end][0] == ordered[start][0]:
            end += 1
        ranks += sum(c for _, c in ordered[start:end]) * (start + 1 + end) / 2
        start = end
    return (ranks - right * (right + 1) / 2) / (right * wrong)


FIGURES: dict[str, Callable[[Sequence[Judged]], float]] = {"ece": ece, "auroc": auroc, "brier": brier}


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the 95 % interval of the bootstrap."""

    value: float
    low: float
    high: float


def bootstrap(
    judged: Sequence[Judged],
    figure: Callable[[Sequence[Judged]], float],
    draw: random.Random,
    rounds: int = 200,
) -> Interval:
    """`figure` of `judged` and its percentile interval over `rounds` resamplings (Efron 1979)."""
    drawn = sorted(figure(draw.choices(judged, k=len(judged))) for _ in range(rounds))
    edge = int(rounds * 0.025)
    return Interval(figure(judged), drawn[edge], drawn[-1 - edge])


def held_out(rows: Sequence[Row], draw: random.Random, folds: int = 5) -> list[Judged] | None:
    """Every row with the probability that weights fitted to the other folds give it, before any cap.

    None where a fold leaves labels of one outcome only.
    """
    order = list(range(len(rows)))
    draw.shuffle(order)
    judged: list[Judged] = []
    for fold in range(folds):
        test = order[fold::folds]
        inside = set(test)
        try:
            weights = fit([row for i, row in enumerate(rows) if i not in inside])
        except ValueError:
            return None
        judged.extend((weights.raw(rows[i][0], rows[i][1]), rows[i][2]) for i in test)
    return judged


def solve(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    """x of matrix * x = right, by Gauss-Jordan elimination with pivoting. The matrix must not be singular."""
    size = len(right)
    rows = [[*line, value] for line, value in zip(matrix, right, strict=True)]
    for column in range(size):
        pivot = max(range(column, size), key=lambda r: abs(rows[r][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [v / rows[column][column] for v in rows[column]]
        for other in range(size):
            if other != column:
                factor = rows[other][column]
                rows[other] = [a - factor * b for a, b in zip(rows[other], rows[column], strict=True)]
    return [line[size] for line in rows]


def _loss(w: Sequence[float], cells: Sequence[tuple[Row, int]]) -> float:
    total = RIDGE / 2 * (w[1] ** 2 + w[2] ** 2)
    for (a, g, correct), count in cells:
        x = w[0] + w[1] * a + w[2] * g
        total += count * _softplus(-x if correct else x)
    return total


def _softplus(x: float) -> float:
    return x + log1p(exp(-x)) if x > 0 else log1p(exp(x))


def _derivatives(
    w: Sequence[float], cells: Sequence[tuple[Row, int]]
) -> tuple[list[float], list[list[float]]]:
    """Minus the gradient and the Hessian of `_loss`."""
    penalty = (1e-9, RIDGE, RIDGE)
    gradient = [-p * value for p, value in zip(penalty, w, strict=True)]
    hessian = [[penalty[i] if i == j else 0.0 for j in range(3)] for i in range(3)]
    for (a, g, correct), count in cells:
        x = (1.0, a, g)
        expected = sigmoid(w[0] + w[1] * a + w[2] * g)
        spread = count * expected * (1 - expected)
        for i in range(3):
            gradient[i] += count * x[i] * (correct - expected)
            for j in range(3):
                hessian[i][j] += spread * x[i] * x[j]
    return gradient, hessian
