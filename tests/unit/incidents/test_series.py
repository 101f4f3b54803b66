"""What series did around the beginning of an alert."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from rows import each_row

from techsapo_ops.adapters.prometheus import Series
from techsapo_ops.incidents.material import Material, Subject
from techsapo_ops.incidents.series import Movement, movements, said, selectors

BEGAN = datetime(2026, 1, 31, 3, 10, tzinfo=UTC)
AT = BEGAN.timestamp()
START, END = AT - 1800, AT + 180
TIMES = [START + 15 * n for n in range(int(END - START) // 15 + 1)]


def moved(name: str, value: Callable[[float], float], **labels: str) -> Movement:
    """What a series of these values did, in the company of one that stands still."""
    (one, _) = movements(material(Series({"__name__": name, **labels}, {t: value(t) for t in TIMES})))
    return one


def material(*series: Series) -> Material:
    """These series, and one that stands still."""
    still = Series({"__name__": "up"}, dict.fromkeys(TIMES, 1.0))
    window = datetime.fromtimestamp(START, UTC), datetime.fromtimestamp(END, UTC)
    return Material(Subject(BEGAN), *window, series=(*series, still))


def noisy(level: Callable[[float], float], share: float = 0.05) -> Callable[[float], float]:
    """A value with noise, the same in each run."""
    source = random.Random(7)
    return lambda time: level(time) * (1 + source.gauss(0, share))


def test_a_step_is_seen_with_its_direction_levels_and_time() -> None:
    up = moved("a", noisy(lambda t: 90 if t >= AT - 120 else 30))
    assert (up.how, up.at) == ("rose", AT - 120)
    assert up.before == pytest.approx(30, rel=0.05)
    assert up.after == pytest.approx(90, rel=0.05)
    assert moved("a", noisy(lambda t: 30 if t >= AT - 120 else 90)).how == "fell"


def test_noise_weighs_little_and_what_does_not_move_nothing() -> None:
    assert moved("a", noisy(lambda _: 100, 0.3)).weight < 0.4
    assert moved("a", noisy(lambda _: 1e9, 1e-6)).weight < 0.1
    assert moved("a", lambda _: 0.0).weight == 0
    assert moved("a", lambda t: 500 if t == AT - 300 else 5).weight == 0


def test_a_step_weighs_more_than_noise_of_its_height() -> None:
    step = moved("a", noisy(lambda t: 130 if t >= AT - 60 else 100, 0.02))
    assert step.weight > 2 * moved("a", noisy(lambda _: 115, 0.15)).weight


def test_a_slow_drift_is_seen() -> None:
    drift = moved("a_bytes", noisy(lambda t: 1e8 + 2e5 * (t - START), 0.003))
    assert drift.how == "rose"
    assert drift.weight > 0.5


def test_a_counter_is_seen_as_its_rate_and_a_reset_is_no_change() -> None:
    grows = moved("requests_total", lambda t: 3 * (t - START) if t < AT - 300 else 3 * (t - AT + 300))
    assert grows.reading.unit == "per second"
    assert grows.weight < 0.1
    stops = moved("requests_total", lambda t: 3 * min(t, AT - 150))
    assert (stops.how, stops.before, stops.after) == ("fell", 3, 0)


def test_what_only_rises_is_no_counter_unless_it_is_called_one() -> None:
    for name in ("disk_used_bytes", "connections", "queue_messages"):
        assert moved(name, lambda t: int(t / 5)).reading.unit == ""


def test_rare_events_that_begin_are_seen() -> None:
    refused = moved("refused_total", lambda t: max(0, (t - AT + 90) // 45))
    assert (refused.how, refused.before) == ("rose", 0)
    assert refused.weight > 0.7


def test_the_mean_of_a_histogram_is_seen_in_place_of_its_parts() -> None:
    values = {
        "dns_seconds_sum": lambda t: 0.01 * (t - START) + max(0, t - AT + 60),
        "dns_seconds_count": lambda t: t - START,
        "dns_seconds_bucket": lambda t: t - START,
    }
    series = [
        Series({"__name__": name, **({"le": "1"} if "bucket" in name else {})}, {t: value(t) for t in TIMES})
        for name, value in values.items()
    ]
    ones = {(one.reading.name, one.reading.unit): one for one in movements(material(*series))}
    mean = ones["dns_seconds", "on average"]
    assert (mean.how, round(mean.before or 0, 3), round(mean.after or 0, 2)) == ("rose", 0.01, 1.01)
    assert ("dns_seconds_bucket", "per second") not in ones


def test_series_that_begin_and_end_are_seen() -> None:
    ends = Series({"__name__": "a"}, {t: 7.0 for t in TIMES if t < AT - 100})
    begins = Series({"__name__": "b"}, {t: 7.0 for t in TIMES if t > AT - 100})
    one, other = (one for one in movements(material(ends, begins)) if one.how in {"began", "ended"})
    assert (one.how, one.before, one.after) == ("ended", 7, None)
    assert (other.how, other.before, other.after) == ("began", None, 7)


def test_a_time_is_seen_when_it_passes_is_set_anew_or_is_no_longer_set() -> None:
    passes = moved("cert_not_after", lambda _: AT - 60)
    assert (passes.how, passes.at) == ("set", AT - 60)
    restarts = moved("process_start_time_seconds", lambda t: AT - 300 if t > AT - 300 else AT - 1e6)
    assert (restarts.how, restarts.before, restarts.after) == ("set", AT - 1e6, AT - 300)
    silent = moved("backup_success_seconds", lambda t: min(t, AT - 600))
    assert silent.weight > 0
    assert said([silent], 0) == "backup_success_seconds is 2026-01-31T03:00:00Z, last set at 03:00:00Z"
    assert said([passes], 0) == "cert_not_after is 2026-01-31T03:09:00Z, passed at 03:09:00Z"
    assert moved("cert_expiry", lambda _: AT + 9e5).weight == 0
    assert moved("backup_success_seconds", lambda t: t - 5).weight == 0
    assert moved("process_start_time_seconds", lambda _: AT - 1e6).weight == 0


@each_row("values", [{}, {AT: math.nan}, {AT: math.inf}, {AT: 1.0}, {START: -1e308, AT: 1e308}])
def test_any_values_are_taken(values: dict[float, float]) -> None:
    for name in ("a", "a_total", "a_time_seconds", "a_seconds_sum"):
        for one in movements(material(Series({"__name__": name}, values))):
            assert 0 <= one.weight <= 1
            assert said([one], 0)


def test_the_selectors_of_an_expression_are_names_with_the_labels_that_they_demand() -> None:
    expression = 'sum(rate(a_total{job="b_c", code=~"5.."}[1m])) by (job) / d:e{} > 5 and "f" == "g"'
    found = selectors(expression)
    assert ("a_total", {"job": "b_c"}) in found
    assert ("d:e", {}) in found
    assert not {"b_c", "f", "g"} & {name for name, _ in found}


def test_what_series_did_is_said_once_for_whose_they_are() -> None:
    ones = [moved("used_bytes", lambda t: 2e8 if t > AT else 1e8, job="redis", db=db) for db in ("0", "1")]
    assert said(ones, 3).splitlines() == [
        "job=redis",
        'used_bytes{db="0"} rose from 95.4 MiB to 191 MiB at 03:10:15Z',
        'used_bytes{db="1"} rose from 95.4 MiB to 191 MiB at 03:10:15Z',
        "and 3 more",
    ]
