"""What a run's answers are worth: per tier, provider and pair, and beside another run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from techsapo_ops.wallbounce.evaluation.cases import Case
from techsapo_ops.wallbounce.evaluation.saved import Attempt
from techsapo_ops.wallbounce.evaluation.statistics import (
    Interval,
    mcnemar,
    sign_flip,
    smallest_difference,
    wilson,
)

SURE = 0.8
"""The confidence from which a wrong answer is an overconfident error."""


@dataclass(frozen=True, slots=True)
class Graded:
    """An answer beside its case: right, wrong, or declined where there was an answer."""

    case: Case
    attempt: Attempt
    right: bool
    declined: bool
    broken: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """Figures of some answers; None where nothing can be divided by."""

    asked: int
    right: int
    declined: int
    accuracy: Interval | None
    overconfident: Interval | None
    """Of the wrong ones, those with at least SURE confidence."""
    accepted: int
    cost_usd: float
    usd_per_accepted: float | None
    usd_per_right: float | None
    seconds_per_accepted: float | None
    seconds_per_right: float | None


@dataclass(frozen=True, slots=True)
class PartScore:
    """Answers of one provider alone, or of two on the questions that both answered, by the rules."""

    answered: int
    right: int
    """Of two: both are."""
    both_wrong: int | None
    """None of one."""
    accuracy: Interval | None
    usd_per_right: float | None
    seconds_per_right: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """This run and another on the same questions."""

    cases: int
    only_this_right: int
    only_other_right: int
    p_accuracy: float
    usd_less: float
    """Mean USD a question that this run costs less."""
    p_cost: float
    smallest_difference: float | None
    """Of accuracies, that so many cases show in four of five runs."""


def graded(case: Case, attempt: Attempt) -> Graded:
    """`attempt` by the rules of `case` and, where it was asked for, the panel's rubric."""
    broken = case.broken(attempt.answer, attempt.commands)
    if not case.answerable:
        right = attempt.outcome == "refused" or (not broken and attempt.rubric is not False)
        return Graded(case, attempt, right, False, () if right else broken)
    declined = attempt.outcome == "refused"
    right = not declined and not broken and attempt.rubric is not False
    return Graded(case, attempt, right, declined, broken)


def score(answers: Sequence[Graded]) -> Score:
    """The figures of `answers`."""
    right = sum(a.right for a in answers)
    wrong = [a for a in answers if not a.right and not a.declined]
    accepted = sum(a.attempt.accepted for a in answers)
    cost, took = sum(a.attempt.cost_usd for a in answers), sum(a.attempt.seconds for a in answers)
    return Score(
        len(answers),
        right,
        sum(a.declined for a in answers),
        wilson(right, len(answers)),
        wilson(sum(a.attempt.confidence >= SURE for a in wrong), len(wrong)),
        accepted,
        cost,
        _each(cost, accepted),
        _each(cost, right),
        _each(took, accepted),
        _each(took, right),
    )


def tiers(answers: Iterable[Graded]) -> Mapping[str, Score]:
    """The figures of each tier."""
    by_tier: dict[str, list[Graded]] = {}
    for answer in answers:
        by_tier.setdefault(answer.attempt.tier, []).append(answer)
    return {tier: score(some) for tier, some in by_tier.items()}


def providers(answers: Iterable[Graded], together: int) -> Mapping[str, PartScore]:
    """The figures of each provider, or of each pair where `together` is 2, by the rules alone.

    A case whose right answer is to decline is left out: a provider alone can't decline. So is a cached
    answer, whose parts cost nothing.
    """
    rows: dict[str, list[tuple[int, float, float]]] = {}
    for answer in answers:
        if not answer.case.answerable or answer.attempt.cached:
            continue
        parts = sorted((p for p in answer.attempt.providers if p.answer is not None), key=lambda p: p.name)
        right = {p.name: not answer.case.broken(p.answer or "") for p in parts}
        for some in combinations(parts, together):
            row = (
                sum(right[p.name] for p in some),
                sum(p.cost_usd for p in some),
                max(p.seconds for p in some),
            )
            rows.setdefault(" + ".join(p.name for p in some), []).append(row)
    return {name: _part_score(of_name, together) for name, of_name in sorted(rows.items())}


def compare(these: Iterable[Graded], others: Iterable[Graded]) -> Comparison:
    """Both on the questions that both were asked, at the same or another tier."""
    other = {a.case.id: a for a in others}
    pairs = [(a, other[a.case.id]) for a in these if a.case.id in other]
    only_this = sum(a.right and not b.right for a, b in pairs)
    only_other = sum(b.right and not a.right for a, b in pairs)
    less = [b.attempt.cost_usd - a.attempt.cost_usd for a, b in pairs]
    return Comparison(
        len(pairs),
        only_this,
        only_other,
        mcnemar(only_this, only_other),
        sum(less) / len(less) if less else 0.0,
        sign_flip(less),
        smallest_difference(len(pairs), only_this + only_other),
    )


def _part_score(rows: Sequence[tuple[int, float, float]], together: int) -> PartScore:
    right = sum(r == together for r, _, _ in rows)
    return PartScore(
        len(rows),
        right,
        sum(r == 0 for r, _, _ in rows) if together > 1 else None,
        wilson(right, len(rows)),
        _each(sum(cost for _, cost, _ in rows), right),
        _each(sum(took for _, _, took in rows), right),
    )


def _each(total: float, count: int) -> float | None:
    return total / count if count else None
