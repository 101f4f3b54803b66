"""What is known of real panels holds in the simulated ones."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from statistics import fmean, pvariance

import pytest
from panel_simulation.panels import Drawn, Setting, draw
from panel_simulation.settings import (
    BOTH,
    FIRST_ALONE,
    KINDRED,
    KNOWN,
    LAZY,
    MEASURED,
    NEITHER,
    NINE,
    SECOND_ALONE,
    STRESS_8,
    STRESS_9,
    STUBBORN,
    Voice,
)
from rows import each_row

COUNT = 4000


def phi(panels: list[Drawn], i: int, j: int) -> float:
    p, q = (fmean(panel.rights[n] for panel in panels) for n in (i, j))
    both = fmean(panel.rights[i] and panel.rights[j] for panel in panels)
    return (both - p * q) / sqrt(p * (1 - p) * q * (1 - q))


@each_row("setting, wanted", [(KNOWN, 0.53), (STRESS_8, 0.8), (STRESS_9, 0.9), (MEASURED, 0.43)])
def test_errors_correlate_as_they_are_set_to(setting: Setting, wanted: float) -> None:
    equal = replace(setting, voices=(Voice("a", 0.8), Voice("b", 0.8)))
    assert phi(draw(equal, COUNT, "phi"), 0, 1) == pytest.approx(wanted, abs=0.06)


def test_the_measured_pair_correlates_at_what_its_table_says() -> None:
    count = BOTH + FIRST_ALONE + SECOND_ALONE + NEITHER
    p, q = (BOTH + FIRST_ALONE) / count, (BOTH + SECOND_ALONE) / count
    made = (BOTH / count - p * q) / sqrt(p * (1 - p) * q * (1 - q))
    assert (count, round(made, 2)) == (14_042, 0.43)


def test_two_that_err_give_the_same_wrong_answer_in_three_of_four_cases() -> None:
    pair = replace(KNOWN, voices=KNOWN.voices[:2])
    joint = [panel for panel in draw(pair, COUNT, "same") if not any(panel.rights)]
    assert fmean(len(panel.evidence.cluster) == 2 for panel in joint) == pytest.approx(0.73, abs=0.05)


def test_nine_judges_are_worth_about_two_votes() -> None:
    shares = [fmean(panel.rights) for panel in draw(NINE, 1500, "votes")]
    mean = fmean(shares)
    assert 1.4 < mean * (1 - mean) / pvariance(shares) < 2.4


def given(panels: list[Drawn], grader: int, subject: int) -> float:
    return fmean(score for panel in panels for g, s, score in panel.grades if (g, s) == (grader, subject))


def test_graders_prefer_their_own_family_and_what_they_read_first() -> None:
    plain, kin = (given(draw(setting, COUNT, "kin"), 0, 1) for setting in (KNOWN, KINDRED))
    assert kin - plain > 0.02
    without = replace(KNOWN, first=0.0)
    assert plain - given(draw(without, COUNT, "kin"), 0, 1) > 0.01


def test_a_grader_mostly_judges_by_what_it_answered_itself() -> None:
    panels = draw(KNOWN, COUNT, "belief")
    wrong_alike = [p for p in panels if len(p.evidence.cluster) == 3 and not p.right]
    assert fmean(score for p in wrong_alike for _, score in p.evidence.scores) > 0.75


def test_a_lazy_one_grades_all_alike_and_a_stubborn_one_is_never_right() -> None:
    assert {s for p in draw(LAZY, 50, "lazy") for g, _, s in p.grades if g == 2} == {0.75}
    stubborn = draw(STUBBORN, 300, "stubborn")
    assert not any(p.rights[2] for p in stubborn)
    assert not any(p.verdict().accepted for p in stubborn)  # it makes today's panel decline everything


def test_the_same_seed_gives_the_same_panels_and_another_one_others() -> None:
    assert draw(KNOWN, 20, 1) == draw(KNOWN, 20, 1) != draw(KNOWN, 20, 2)
