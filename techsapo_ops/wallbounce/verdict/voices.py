"""What the word of one model on another's answer is worth, from who agreed with right and with wrong answers.

One number serves two ends. A model that agrees as often with wrong answers as with right ones says nothing:
it errs together with the author, so that both count as one, or it dissents whatever the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from techsapo_ops.wallbounce.verdict.record import Member, PanelRecord, family_of

AGREES_WITH_RIGHT, AGREES_WITH_WRONG = 0.8, 0.45
"""Of strong models: errors correlate at .53, and .73 of joint errors are the same (arXiv 2506.07962)."""
STRENGTH = {"family": 4.0, "model": 8.0, "pair": 12.0}
"""How many verdicts the level above counts for."""
LEAST = 0.02
"""What a word counts that says nothing, so that nobody's is lost altogether."""
FEWEST_LEFT = 0.1
"""How much more often the best of a panel has to agree with right answers for its word to count in full."""
Outcome = tuple[PanelRecord, float, float]
"""A record, the chance that its answer is right, and how much it counts."""


@dataclass(frozen=True, slots=True)
class Rates:
    """How often a model agrees with answers that are right, and with wrong ones."""

    right: float = AGREES_WITH_RIGHT
    wrong: float = AGREES_WITH_WRONG

    @property
    def index(self) -> float:
        """How much its word says: Youden's index, 0 or less where it says nothing."""
        return self.right - self.wrong


USUAL = Rates()


def keys_of(author: str, other: str) -> tuple[str, str, str]:
    """Under what the word of `other` on an answer of `author` is counted: family, model, pair."""
    return f"family {family_of(other)}", f"model {other}", "pair " + " | ".join(sorted((author, other)))


def rates(outcomes: Iterable[Outcome]) -> dict[str, Rates]:
    """The rates of each family, model and pair, each drawn towards the level above it."""
    sums: dict[str, list[float]] = {}
    parents: dict[str, str] = {}
    for record, chance, weight in outcomes:
        author = record.answers[record.chosen]
        for other in _compared(record):
            keys = keys_of(author.learnt_as, other.learnt_as)
            for key, above in zip(keys, ("", *keys), strict=False):
                parents[key] = above
                counted = sums.setdefault(key, [0.0] * 4)
                for place, mass in ((0, chance), (2, 1 - chance)):
                    counted[place] += weight * mass * bool(other.agrees)
                    counted[place + 1] += weight * mass
    made: dict[str, Rates] = {}
    for level, strength in STRENGTH.items():
        for key in (k for k in sums if k.startswith(f"{level} ")):
            agreed, rights, agreed_wrong, wrongs = sums[key]
            start = made.get(parents[key], USUAL)
            made[key] = Rates(
                (agreed + strength * start.right) / (rights + strength),
                (agreed_wrong + strength * start.wrong) / (wrongs + strength),
            )
    return made


def _compared(record: PanelRecord) -> Iterator[Member]:
    for place, member in enumerate(record.answers):
        if place != record.chosen and member.agrees is not None:
            yield member
