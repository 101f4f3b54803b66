"""How answers stand to each other. Agreement, split, dissent and consensus are all read from here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import fmean

from techsapo_ops.wallbounce.answers import Grade, Stance

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


@dataclass(slots=True)
class Relations:
    """What the first grade of each pair settles; agreement is that of independent answers.

    Two answers agree where each entails the other, they differ where one does not or their wording is too far
    apart, and they were not compared where the grades that would tell are missing.
    """

    _entailed: dict[Pair, bool | None] = field(default_factory=dict)
    """By (grader, subject)."""
    _shares: dict[Pair, float | None] = field(default_factory=dict)
    _apart: frozenset[Pair] = frozenset()

    def part(self, pairs: Iterable[Pair]) -> None:
        """Take in pairs (lower index first) that differ, whatever graders say."""
        self._apart |= frozenset(pairs)

    def take(self, pair: Pair, grade: Grade, critical: Iterable[int]) -> None:
        """Take in the grade of (grader, subject), unless there is one: the first counts."""
        if pair not in self._entailed:
            self._entailed[pair] = entails(grade, critical)
            self._shares[pair] = entailed_share(grade)

    def agree(self, one: int, other: int, silenced: frozenset[int] = frozenset()) -> bool | None:
        """Whether two answers agree; None where they were not compared. `silenced` agree with nobody."""
        if silenced & {one, other} or (min(one, other), max(one, other)) in self._apart:
            return False
        ways = (self._entailed.get((one, other)), self._entailed.get((other, one)))
        return False if False in ways else None if None in ways else True

    def closeness(self, one: int, other: int, silenced: frozenset[int] = frozenset()) -> float | None:
        """How far two answers agree, 0 to 1; None where they were not compared.

        The mean share of claims that they entail of each other. It is at least one half where they agree and
        at most that where they differ, so that it never says otherwise than `agree`.
        """
        agree = self.agree(one, other, silenced)
        if agree is None:
            return None
        if silenced & {one, other} or (min(one, other), max(one, other)) in self._apart:
            return 0.0
        ways = (self._shares.get((one, other)), self._shares.get((other, one)))
        mean = fmean(share for share in ways if share is not None)
        return mean if agree else min(mean, ENTAILED)

    def pairs(
        self, count: int, agree: bool | None, silenced: frozenset[int] = frozenset()
    ) -> frozenset[Pair]:
        """The pairs of `count` answers that agree (True), differ (False) or were not compared (None)."""
        everyone = combinations(range(count), 2)
        return frozenset(pair for pair in everyone if self.agree(*pair, silenced) is agree)

    def consensus(self, count: int, silenced: frozenset[int] = frozenset()) -> float | None:
        """Mean closeness of all pairs of `count` answers that were compared; None where none was."""
        found = (self.closeness(*pair, silenced) for pair in combinations(range(count), 2))
        known = [closeness for closeness in found if closeness is not None]
        return fmean(known) if known else None
