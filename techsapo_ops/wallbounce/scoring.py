"""How good stated probabilities are: scores by what came of them, and how sure those are."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import fsum

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
