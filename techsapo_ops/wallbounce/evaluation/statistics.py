"""Intervals and paired tests for few cases."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb, sqrt

Z95 = 1.959964
"""Of a two-sided interval of 95 %."""
ALPHA = 0.05
POWER = 0.8
_EXACT = 15
"""Differences up to which every pattern of signs is tried; beyond, `_DRAWS` of them."""
_DRAWS = 20_000
_SEED = 1
_FINE = 1e-3
_MOST = 400
"""Cases up to which power is computed exactly; more are scaled by the square root of their number."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A share, and where its 95 % interval begins and ends."""

    share: float
    low: float
    high: float


def wilson(successes: float, trials: int) -> Interval | None:
    """Wilson's score interval (JASA 22, 1927) without continuity correction; None without trials."""
    if not trials:
        return None
    p, z2 = successes / trials, Z95 * Z95
    centre = p + z2 / (2 * trials)
    half = Z95 * sqrt(p * (1 - p) / trials + z2 / (4 * trials * trials))
    scale = 1 + z2 / trials
    return Interval(p, max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale))


def mcnemar(first_only: int, second_only: int) -> float:
    """The exact two-sided p of McNemar's test, of the cases that only one of two runs had right."""
    n = first_only + second_only
    tail = sum(comb(n, k) for k in range(min(first_only, second_only) + 1))
    return min(1.0, 2 * tail / float(2**n))


def sign_flip(differences: Sequence[float]) -> float:
    """The two-sided p of Fisher's permutation test of paired differences (Design of Experiments, 1935, §21).

    Every pattern of signs is tried for few differences, else a fixed draw of them.
    """
    sizes = [abs(d) for d in differences if d]
    if not sizes:
        return 1.0
    bound = abs(sum(differences)) * (1 - 1e-12)
    if len(sizes) <= _EXACT:
        sums = [0.0]
        for size in sizes:
            sums = [s + d for s in sums for d in (size, -size)]
        return sum(abs(s) >= bound for s in sums) / len(sums)
    draw = random.Random(_SEED)  # noqa: S311 - no secret
    as_far = sum(abs(sum(d if draw.random() < 0.5 else -d for d in sizes)) >= bound for _ in range(_DRAWS))
    return (as_far + 1) / (_DRAWS + 1)


def smallest_difference(cases: int, discordant: int = 0) -> float | None:
    """The smallest difference of two accuracies that McNemar's exact test shows in four of five runs.

    `discordant` is the number of cases of which only one run was right. A run can't differ by less
    than in all of them, so a larger difference counts as many. None where no difference can be shown.
    """
    n = min(cases, _MOST)
    share = min(1.0, discordant / cases) if cases else 0.0
    if not cases or _power(n, 1.0, 1.0) < POWER:
        return None
    low, high = 0.0, 1.0
    while high - low > _FINE:
        middle = (low + high) / 2
        if _power(n, max(share, middle), middle) >= POWER:
            high = middle
        else:
            low = middle
    return high * sqrt(n / cases)


def _power(n: int, discordant: float, difference: float) -> float:
    """How often the exact test shows `difference` of `n` pairs, `discordant` of which differ on average."""
    one_sided = (discordant + difference) / (2 * discordant)
    shown = 0.0
    for d in range(n + 1):
        here = _binomial(n, d, discordant)
        if here < 1e-9 or (most := _rejected(d)) < 0:
            continue
        upper = sum(_binomial(d, k, one_sided) for k in range(d - most, d + 1))
        shown += here * upper
    return shown


@lru_cache(maxsize=512)
def _rejected(d: int) -> int:
    """The most on the smaller side of `d` discordant pairs at which p is under ALPHA; -1 for none."""
    tail, most = 0, -1
    for k in range(d // 2 + 1):
        tail += comb(d, k)
        if 2 * tail >= ALPHA * 2**d:
            break
        most = k
    return most


def _binomial(n: int, k: int, p: float) -> float:
    if p >= 1:
        return float(k == n)
    if p <= 0:
        return float(k == 0)
    return float(comb(n, k) * p**k * (1 - p) ** (n - k))
