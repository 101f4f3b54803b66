from __future__ import annotations

import random

import pytest
from rows import each_row

from techsapo_ops.serve.windows import SLOT, SLOTS, Mean, Quantiles


class FakeClock:
    """Time that moves when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_mean_forgets_what_is_older_than_five_minutes() -> None:
    clock = FakeClock()
    mean = Mean(clock)
    mean.add(1)
    clock.now += 200
    mean.add(0)
    assert mean.value() == 0.5
    clock.now += 150
    assert mean.value() == 0
    clock.now += 300
    assert mean.value() is None


def test_memory_stays_bounded_over_a_long_time() -> None:
    clock = FakeClock()
    mean = Mean(clock)
    for _ in range(1000):
        mean.add(1)
        clock.now += SLOT
    assert len(mean._window._slots) <= SLOTS


@each_row("quantile", [0.5, 0.95, 0.99])
def test_a_quantile_is_within_ten_percent(quantile: float) -> None:
    draw = random.Random(4)
    values = sorted(draw.lognormvariate(-1, 1) for _ in range(5000))
    quantiles = Quantiles(FakeClock())
    for value in values:
        quantiles.add(value)
    true = values[int(quantile * len(values)) - 1]
    assert quantiles.value(quantile) == pytest.approx(true, rel=0.1)


def test_a_quantile_that_one_value_just_reaches_is_that_value() -> None:
    quantiles = Quantiles(FakeClock())
    for value in (0.1, 10.0):
        quantiles.add(value)
    assert quantiles.value(0.5) == pytest.approx(0.1, rel=0.1)


def test_values_beyond_the_last_bound_are_still_counted() -> None:
    quantiles = Quantiles(FakeClock())
    quantiles.add(10_000)
    assert quantiles.value(0.95) == pytest.approx(150, rel=0.1)
    assert Quantiles(FakeClock()).value(0.95) is None
