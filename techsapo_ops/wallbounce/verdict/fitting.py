"""Fits the weights of the confidence, by logistic regression in plain Python, and scores what they say.

Three weights need no numerical library: a Newton step is a 3 x 3 system.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import exp, fsum, log1p, sqrt
from typing import NamedTuple

from techsapo_ops.messages import msg
from techsapo_ops.wallbounce.verdict.verdict import CONTRADICTED_CAP, Ceilings, Weights, cap_of, sigmoid

BINS = 10
Judged = tuple[float, bool]
"""A probability, and what came."""


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
    """`figure` (0 to 1) of `judged` and its basic bootstrap interval over `rounds` resamplings.

    Basic, not percentile: resampling adds noise of its own to an ECE, so that its percentiles may lie above
    the figure altogether. Mirrored at the figure they take that bias off (Davison & Hinkley 1997, 5.2).
    """
    value = figure(judged)
    drawn = sorted(figure(draw.choices(judged, k=len(judged))) for _ in range(rounds))
    edge = int(rounds * 0.025)
    low, high = (min(1.0, max(0.0, 2 * value - d)) for d in (drawn[-1 - edge], drawn[edge]))
    return Interval(value, min(low, value), max(high, value))


RIDGE = 0.01
"""Penalty on the two slopes: too small to matter, but finite weights where A or G part right from wrong."""
STEPS = 50
TOLERANCE = 1e-8
ONE_SIDED = 1.645
"""Standard normal quantile of .95."""


class Row(NamedTuple):
    """One labelled outcome: A, G, whether the answer was right, whether a critical claim was contradicted."""

    agreement: float
    grade: float
    correct: bool
    contradicted: bool = False


def fit(rows: Sequence[Row]) -> Weights:
    """Weights of the logistic regression of `correct` on A and G, by Newton's method (IRLS).

    Steps are halved while they worsen the penalised likelihood, so that it converges from any start. Raises
    ValueError where all outcomes are the same: nothing can be learnt from them.
    """
    if len({row.correct for row in rows}) < 2:
        raise ValueError(msg("all labels have the same outcome"))
    counts: dict[_Cell, int] = {}
    for row in rows:
        cell = (row.agreement, row.grade, row.correct)
        counts[cell] = counts.get(cell, 0) + 1
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


def fit_capped(rows: Sequence[Row], count: int) -> Weights:
    """Weights as by `fit`, with caps raised as far as these labels of `count` answers each bear out.

    A cap gives way where the answers that the weights put above it were right more often than it says: up to
    the lower end of the one-sided 95 % interval of that share. Few labels raise it little or not at all.
    """
    weights = fit(rows)

    def borne_out(cap: float, contradicted: bool) -> float:
        above = [
            row.correct
            for row in rows
            if row.contradicted is contradicted and weights.raw(row.agreement, row.grade) > cap
        ]
        low = wilson_low(sum(above), len(above))
        return low if low > cap else 0.0

    cap = cap_of(count)
    return replace(weights, ceilings=Ceilings(borne_out(cap, False), borne_out(CONTRADICTED_CAP, True)))


def wilson_low(successes: int, trials: int, z: float = ONE_SIDED) -> float:
    """Lower end of the score interval of a share (Wilson 1927); 0 without trials."""
    if not trials:
        return 0.0
    share, slack = successes / trials, z * z / trials
    spread = z * sqrt(share * (1 - share) / trials + slack / (4 * trials))
    return (share + slack / 2 - spread) / (1 + slack)


def held_out(rows: Sequence[Row], count: int, draw: random.Random, folds: int = 5) -> list[Judged] | None:
    """Every row with the confidence that a fit to the other folds would report for it.

    `count` is the number of answers that each row comes from. None where a fold leaves labels of one
    outcome only.
    """
    order = list(range(len(rows)))
    draw.shuffle(order)
    judged: list[Judged] = []
    for fold in range(folds):
        test = order[fold::folds]
        inside = set(test)
        try:
            weights = fit_capped([row for i, row in enumerate(rows) if i not in inside], count)
        except ValueError:
            return None
        judged.extend((reported(weights, rows[i], count), rows[i].correct) for i in test)
    return judged


def reported(weights: Weights, row: Row, count: int) -> float:
    """The confidence that the answer of `row`, the best of `count`, is given out with."""
    return weights.capped(count, row.agreement, row.grade, contradicted=row.contradicted)


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


_Cell = tuple[float, float, bool]
"""A, G, correct: what many rows have in common."""


def _loss(w: Sequence[float], cells: Sequence[tuple[_Cell, int]]) -> float:
    total = RIDGE / 2 * (w[1] ** 2 + w[2] ** 2)
    for (a, g, correct), count in cells:
        x = w[0] + w[1] * a + w[2] * g
        total += count * _softplus(-x if correct else x)
    return total


def _softplus(x: float) -> float:
    return x + log1p(exp(-x)) if x > 0 else log1p(exp(x))


def _derivatives(
    w: Sequence[float], cells: Sequence[tuple[_Cell, int]]
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
