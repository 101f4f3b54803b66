"""Which answers entail each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

from techsapo_ops.wallbounce.grades import Grade, Stance

Pair = tuple[int, int]
ENTAILED = 0.5
"""Share of claims that a grader must hold too for its answer to entail the other."""
CONTRADICTED = 0.25
"""Share of claims that it may contradict all the same; of the critical ones none."""


def entailed_share(grade: Grade) -> float | None:
    """Share of the claims with a known stance that the grader entails; None where none has one."""
    known = [stance for stance in grade.stances if stance is not None]
    return known.count(Stance.ENTAILS) / len(known) if known else None


def entails(grade: Grade, critical: Iterable[int]) -> bool | None:
    """Whether the grader's answer entails the graded one; `critical` are indices of its critical claims.

    None where that hangs on stances that are missing: yes and no are said only where none of them could turn
    it.
    """
    stances, decisive = grade.stances, set(critical)
    count, open_ = len(stances), stances.count(None)
    held, against = stances.count(Stance.ENTAILS), stances.count(Stance.CONTRADICTS)
    most = CONTRADICTED * count
    denied = any(stances[i] is Stance.CONTRADICTS for i in decisive if i < count)
    if denied or against > most or held + open_ < ENTAILED * count:
        return False
    settled = count > 0 and all(stances[i] is not None for i in decisive if i < count)
    return True if settled and held >= ENTAILED * count and against + open_ <= most else None


def leading(
    count: int, agree: frozenset[Pair], unknown: frozenset[Pair] = frozenset()
) -> tuple[tuple[int, ...], ...]:
    """The largest groups of answers in which every pair agrees; several where they are equally large.

    Groups, not chains: that A agrees with B and B with C does not make C agree with A. Where it is not known
    whether B and C do, one with whom both agree holds them together. At most eight providers answer, so that
    going through all subsets is quick.
    """
    for size in range(count, 1, -1):
        groups = tuple(
            group
            for group in combinations(range(count), size)
            if all(pair in agree or pair in unknown for pair in combinations(group, 2)) and hubs(group, agree)
        )
        if groups:
            return groups
    return tuple((i,) for i in range(count))


def hubs(group: Sequence[int], agree: frozenset[Pair]) -> tuple[int, ...]:
    """Those of `group` that agree with everybody else in it."""
    return tuple(i for i in group if all((min(i, j), max(i, j)) in agree for j in group if j != i))


def partition(
    count: int, agree: frozenset[Pair], unknown: frozenset[Pair], grade: Callable[[int], float]
) -> tuple[tuple[int, ...], ...]:
    """Every answer in one group: the largest first, of equally large ones the best graded."""
    left = list(range(count))
    groups: list[tuple[int, ...]] = []
    while left:
        renamed = {old: new for new, old in enumerate(left)}
        inside, open_ = (
            frozenset((renamed[i], renamed[j]) for i, j in pairs if i in renamed and j in renamed)
            for pairs in (agree, unknown)
        )
        found = [tuple(left[i] for i in group) for group in leading(len(left), inside, open_)]
        best = max(found, key=lambda g: (sum(map(grade, g)) / len(g), [-i for i in g]))
        groups.append(best)
        left = [i for i in left if i not in best]
    return tuple(groups)
