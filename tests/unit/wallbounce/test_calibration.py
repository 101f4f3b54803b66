from __future__ import annotations

import json
import random

import pytest
from rows import each_row

from techsapo_ops.errors import OpsError
from techsapo_ops.wallbounce.verdict.calibration import Calibration, Fit, by_set, dumps, loads, read_labels
from techsapo_ops.wallbounce.verdict.fitting import (
    Row,
    auroc,
    bootstrap,
    brier,
    ece,
    fit,
    fit_capped,
    held_out,
    wilson_low,
)
from techsapo_ops.wallbounce.verdict.verdict import PROVISIONAL, Ceilings, Weights

FIT = '{"format": 3, "fits": [{"tier": "basic", "models": ["a"], "labels": 3, "weights": {%s}}]}'
LINE = {"tier": "basic", "models": ["b", "a"], "agreement": 1, "grade": 0.92, "correct": True}


def drawn(weights: Weights, count: int, seed: int) -> list[Row]:
    draw = random.Random(seed)
    rows = [(draw.choice((0.0, 0.5, 1.0)), draw.random()) for _ in range(count)]
    return [Row(a, g, draw.random() < weights.raw(a, g)) for a, g in rows]


def test_the_weights_that_made_the_labels_are_found_again() -> None:
    true = Weights(-3.1, 3.5, 4.5)
    found = fit(drawn(true, 20_000, 1))
    assert (found.intercept, found.agreement, found.grade) == pytest.approx((-3.1, 3.5, 4.5), abs=0.25)
    assert found.calibrated


def test_labels_that_part_completely_still_give_finite_weights() -> None:
    found = fit([Row(0.0, 0.1, False)] * 50 + [Row(1.0, 0.9, True)] * 50)
    assert found.raw(1, 0.9) > 0.97
    assert found.raw(0, 0.1) < 0.03
    assert max(abs(w) for w in (found.intercept, found.agreement, found.grade)) < 100


def test_nothing_is_learnt_from_one_outcome() -> None:
    with pytest.raises(ValueError, match="same outcome"):
        fit([Row(1.0, 1.0, True)] * 10)
    assert held_out([Row(1.0, 0.5, True)] * 9 + [Row(0.0, 0.5, False)], 2, random.Random(1)) is None


def test_figures_are_the_gap_of_the_bins_the_chance_to_rank_a_pair_and_the_mean_squared_gap() -> None:
    assert ece([(0.95, True), (0.95, False), (0.15, False), (0.15, False)]) == pytest.approx(0.3)
    assert ece([(0.75, True)] * 3 + [(0.75, False)]) == pytest.approx(0)
    assert ece([(1.0, True), (0.0, False)]) == 0
    assert auroc([(0.5, True), (0.5, False), (0.9, True)]) == pytest.approx(0.75)
    assert auroc([(0.5, True)]) == 0.5
    assert brier([(0.8, True), (0.4, False)]) == pytest.approx((0.04 + 0.16) / 2)


def test_a_bootstrap_interval_holds_its_figure_and_narrows_with_more_labels() -> None:
    def made(count: int) -> list[tuple[float, bool]]:
        return [(PROVISIONAL.raw(r.agreement, r.grade), r.correct) for r in drawn(PROVISIONAL, count, 3)]

    few, many = (bootstrap(made(n), auroc, random.Random(1), 60) for n in (100, 1600))
    assert few.low <= few.value <= few.high
    assert many.high - many.low < (few.high - few.low) / 2


def test_fitted_weights_hold_for_their_tier_and_exactly_their_models() -> None:
    weights = Weights(-4.0, 3.0, 5.0, calibrated=True)
    calibration = Calibration((Fit("premium", ("a", "b", "c"), weights, 800, {"ece": 0.02}),))
    assert calibration.weights("premium", ["c", "a", "b"]) == weights
    for models in (["a", "b"], ["a", "b", "d"], ["a", "b", "c", "c"]):
        assert calibration.weights("premium", models) == PROVISIONAL
    assert calibration.weights("critical", ["a", "b", "c"]) == PROVISIONAL


def test_a_calibration_file_comes_back_as_it_was_written() -> None:
    weights = Weights(-1.5, 2.25, 3.0, True, Ceilings(0.9431, 0.8125))
    made = Calibration((Fit("basic", ("a", "b"), weights, 321, {"ece": 0.0213}),))
    assert loads(dumps(made), "x.json") == made
    assert made.key != Calibration().key


@each_row(
    "content, told",
    [
        ("", "is not a calibration file"),
        ("[" * 100_000, "is not a calibration file"),
        ("[]", "is not a calibration file"),
        ('{"format": 1, "fits": []}', ": format is"),
        ('{"format": 3, "fits": [3]}', r": fits\.0 is"),
        ('{"format": 3, "fits": [{"tier": "huge"}]}', r": fits\.0\.tier is"),
        (FIT % '"intercept": 1, "agreement": NaN, "grade": 1', r": fits\.0\.weights\.agreement is"),
        (
            FIT % '"intercept": 1, "agreement": 1, "grade": 1, "ceilings": {"count": 1.2}',
            r": fits\.0\.weights\.ceilings\.count is",
        ),
    ],
)
def test_a_broken_calibration_file_is_refused_by_name(content: str, told: str) -> None:
    with pytest.raises(OpsError, match=told) as caught:
        loads(content, "weights.json")
    assert caught.value.message.startswith("weights.json")


def test_labels_are_read_line_by_line_whatever_else_they_hold() -> None:
    more = {**LINE, "tier": "premium", "request_id": "x", "uncapped": 0.5}
    labels = read_labels([json.dumps(LINE), "", json.dumps(more)], "l.jsonl")
    assert [(x.tier, x.models, x.correct) for x in labels] == [
        ("basic", ("a", "b"), True),
        ("premium", ("a", "b"), True),
    ]
    assert len(read_labels([json.dumps(LINE), json.dumps({**LINE, "complete": False})], "l.jsonl")) == 1
    assert list(by_set(labels)) == [("basic", ("a", "b")), ("premium", ("a", "b"))]


@each_row(
    "line, told",
    [
        ("{", "l.jsonl:2 not JSON"),
        ("[" * 100_000, "l.jsonl:2 not JSON"),
        ("[]", "l.jsonl:2 should be an object"),
        ("{}", "l.jsonl:2 lacks tier, models, agreement, grade, correct"),
        (json.dumps({**LINE, "tier": "x"}), "tier should be one of"),
        (json.dumps({**LINE, "models": ["a"]}), "at least two"),
        (json.dumps({**LINE, "correct": 1}), "correct should be true or false"),
        (json.dumps({**LINE, "contradicted": 0}), "contradicted should be true or false"),
        (json.dumps({**LINE, "complete": None}), "complete should be true or false"),
        (json.dumps({**LINE, "grade": 1.2}), "grade should be a number from 0 to 1"),
        (json.dumps({**LINE, "grade": True}), "grade should be a number from 0 to 1"),
        (json.dumps({**LINE, "agreement": float("nan")}), "agreement should be a number from 0 to 1"),
    ],
)
def test_a_wrong_label_is_told_with_its_line(line: str, told: str) -> None:
    with pytest.raises(OpsError) as caught:
        read_labels([json.dumps(LINE), line], "l.jsonl")
    assert told in caught.value.message


def test_all_wrong_labels_are_told_at_once_up_to_ten() -> None:
    with pytest.raises(OpsError) as caught:
        read_labels(["{}"] * 30, "l.jsonl")
    assert caught.value.message.count("lacks") == 10
    with pytest.raises(OpsError, match="has no label with a complete set of grades"):
        read_labels(["", " "], "l.jsonl")


def test_a_cap_gives_way_to_labels_up_to_what_they_bear_out_and_not_to_a_few() -> None:
    def labels(each: int, contradicted: bool) -> list[Row]:
        """Answers graded well are right 19 times in 20, those graded badly 1 time in 20."""
        good = [Row(0.5, 0.9, n % 20 > 0, contradicted) for n in range(each)]
        return good + [Row(0.5, 0.1, n % 20 == 0, contradicted) for n in range(each)]

    few = fit_capped(labels(20, False) + labels(4, True), 2).ceilings
    assert few == Ceilings()
    many = fit_capped(labels(2000, False) + labels(2000, True), 2)
    for ceiling in (many.ceilings.count, many.ceilings.contradicted):
        assert 0.93 < ceiling < 0.95
        assert ceiling == pytest.approx(wilson_low(1900, 2000))
    assert many.capped(2, 0.5, 0.9, contradicted=True) == many.ceilings.contradicted
    worse = fit_capped(labels(2000, False), 4)  # .95 is less than the cap of four
    assert worse.ceilings == Ceilings()
