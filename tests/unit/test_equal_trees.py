"""What `python -m tests.bench.equal` takes for a difference between two trees."""

from __future__ import annotations

import pytest

from tests.bench.equal.volatile import difference, in_order, metrics, steady

ANSWER = '{"id":"%s","answer":"df -h","confidence":0.9,"seconds":%s,"cost_usd":0.1}'
GRADED = 'event: graded\ndata: {"a":%d}\n\n'
STREAM = f"event: asked\ndata: {{}}\n\n{GRADED}{GRADED}event: verdict"


def test_ids_and_times_are_no_difference() -> None:
    sides = (steady(ANSWER % (f"req_{digit * 32}", seconds)) for digit, seconds in (("0", 1.25), ("a", 3)))
    assert difference(*sides) is None
    heads = (steady(f"200\ndate: {date}\nx-a: 1") for date in ("Tue, 01 Dec", "Wed, 02 Dec"))
    assert difference(*heads) is None


def test_the_order_of_what_happens_at_once_is_no_difference() -> None:
    assert in_order(STREAM % (1, 2)) == in_order(STREAM % (2, 1))
    assert in_order(": graded\n\n: failed\n\n: settled") == in_order(": failed\n\n: graded\n\n: settled")


@pytest.mark.parametrize(
    "other",
    [
        ANSWER.replace("0.9", "0.90"),
        ANSWER.replace('"answer":"df -h","confidence":0.9', '"confidence":0.9,"answer":"df -h"'),
        ANSWER.replace("df -h", "df"),
        ANSWER.replace(',"cost_usd":0.1', ""),
    ],
)
def test_a_value_a_key_or_their_order_is_a_difference(other: str) -> None:
    told = difference(steady(ANSWER % ("req_", 1)), steady(other % ("req_", 1)))
    assert told is not None
    assert told.startswith("old ")


def test_a_step_that_comes_too_early_is_a_difference() -> None:
    early = "event: verdict\n\n" + (STREAM % (1, 2)).removesuffix("\n\nevent: verdict")
    assert in_order(STREAM % (1, 2)) != in_order(early)


def test_of_metrics_counts_are_compared_and_times_are_not() -> None:
    text = 'techsapo_a_total{x="1"} %d\ntechsapo_a_seconds_sum %f\ntechsapo_a_seconds_count %d\nprocess_x 1\n'
    assert metrics(text % (1, 0.5, 3)) == metrics(text % (1, 0.75, 3))
    assert metrics(text % (1, 0.5, 3)) != metrics(text % (2, 0.5, 3))
    assert metrics(text % (1, 0.5, 3)) != metrics(text % (1, 0.5, 4))
