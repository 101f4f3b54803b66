"""Which answers entail each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import combinations

from techsapo_ops.wallbounce.grades import Grade, Stance

Pair = tuple[int, int]
ENTAILED = 0.5
"""Share of claims that a grader must hold too for its answer to entail the other."""
CONTRADICTED = 0.25
"""Share of claims that it may contradict all the same; of the critical ones none."""


def entailed_share(grade: Grade) -> float:
    """Share of the graded claims that the grader's own answer entails."""
    if not grade.claims:
        return 0.0
    return sum(c.stance is Stance.ENTAILS for c in grade.claims) / len(grade.claims)


def entails(grade: Grade, critical: Iterable[int]) -> bool:
    """Whether the grader's answer entails the graded one; `critical` are indices of its critical claims."""
    against = [i for i, c in enumerate(grade.claims) if c.stance is Stance.CONTRADICTS]
    if set(against) & set(critical):
        return False
    return entailed_share(grade) >= ENTAILED and len(against) <= CONTRADICTED * len(grade.claims)


def mutual(entailed: Iterable[Pair], apart: Iterable[Pair] = ()) -> frozenset[Pair]:
    """Pairs (lower index first) that entail each other both ways and were not declared to disagree.

    `entailed` holds (grader, subject).
    """
    given = set(entailed)
    return frozenset((i, j) for i, j in given if i < j and (j, i) in given) - set(apart)


def leading(count: int, agree: frozenset[Pair]) -> tuple[tuple[int, ...], ...]:
    """The largest groups of answers in which every pair agrees; several where they are equally large.

    Groups, not chains: that A agrees with B and B with C does not make C agree with A. At most eight
    providers answer, so that going through all subsets is quick.
    """
    for size in range(count, 1, -1):
        groups = tuple(
            group
            for group in combinations(range(count), size)
            if all(pair in agree for pair in combinations(group, 2))
        )
        if groups:
            return groups
    return tuple((i,) for i in range(count))


def partition(
    count: int, agree: frozenset[Pair], grade: Callable[[int], float]
) -> tuple[tuple[int, ...], ...]:
    """Every answer in one group: the largest first, of equally large ones the best graded."""
    left = list(range(count))
    groups: list[tuple[int, ...]] = []
    while left:
        renamed = {old: new for new, old in enumerate(left)}
        inside = frozenset((renamed[i], renamed[j]) for i, j in agree if i in renamed and j in renamed)
        found = [tuple(left[i] for i in group) for group in leading(len(left), inside)]
        best = max(found, key=lambda g: (sum(map(grade, g)) / len(g), [-i for i in g]))
        groups.append(best)
        left = [i for i in left if i not in best]
    return tuple(groups)
