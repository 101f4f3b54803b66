"""How answers stand to each other. Agreement, split, dissent and consensus are all read from here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations
from statistics import fmean

from techsapo_ops.wallbounce.clusters import ENTAILED, Pair, entailed_share, entails
from techsapo_ops.wallbounce.grades import Grade


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
