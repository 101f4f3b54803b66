"""Intervals and paired tests against published values."""

from __future__ import annotations

from math import comb

import pytest
from rows import each_row

from techsapo_ops.wallbounce.evaluation.statistics import (
    Interval,
    mcnemar,
    sign_flip,
    smallest_difference,
    wilson,
)

DARWIN = (49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48)
"""Crossed less self-fertilised maize, in eighths of an inch: Fisher, The Design of Experiments, 1935."""


@each_row(
    "successes, trials, low, high",
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_is_the_one_in_newcombes_table(
    successes: int, trials: int, low: float, high: float
) -> None:
    """Statistics in Medicine 17 (1998), table I, method 3."""
    interval = wilson(successes, trials)
    assert isinstance(interval, Interval)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


def test_without_trials_there_is_no_interval() -> None:
    assert wilson(0, 0) is None


@each_row("first, second, p", [(0, 6, 2 / 64), (5, 15, 0.04139), (10, 10, 1), (0, 0, 1)])
def test_mcnemars_exact_p_is_the_binomials(first: int, second: int, p: float) -> None:
    assert mcnemar(first, second) == mcnemar(second, first) == pytest.approx(p, abs=1e-5)


def test_the_permutation_test_finds_fishers_1726_of_32768_patterns_in_darwins_maize() -> None:
    assert sign_flip(DARWIN) == 1726 / 32768


def test_many_differences_are_drawn_alike_each_time_and_near_the_exact_p() -> None:
    more = (*DARWIN, 1)
    assert sign_flip(more) == sign_flip(more) == pytest.approx(1726 / 32768, abs=0.006)


def test_equal_costs_show_nothing() -> None:
    assert sign_flip((0.0, 0.0)) == 1


def test_sixty_cases_show_at_best_what_six_of_them_all_in_one_direction_show() -> None:
    smallest = smallest_difference(60)
    assert smallest is not None

    def six_or_more(share: float) -> float:
        return 1 - sum(comb(60, k) * share**k * (1 - share) ** (60 - k) for k in range(6))

    assert six_or_more(smallest) >= 0.8 > six_or_more(smallest - 0.002)


def test_the_more_runs_differ_in_both_directions_the_larger_a_difference_must_be() -> None:
    differences = [smallest_difference(60, discordant) or 0 for discordant in (0, 12, 24)]
    assert differences == sorted(differences)
    assert (smallest_difference(600, 60) or 1) < (smallest_difference(60, 6) or 0)


def test_five_cases_can_show_no_difference() -> None:
    assert smallest_difference(5) is None
