"""How metrics are counted and written, and the windows that means and quantiles look through."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from instances import samples, send
from orchestrator import make_app
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics import exposition
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from rows import each_row

from techsapo_ops.catalogue.series import metrics
from techsapo_ops.serve.metrics.registry import SLOT, SLOTS, Mean, MetricRegistry, Quantiles

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
DURATION, REQUESTS = "techsapo_http_request_duration_seconds", "techsapo_http_requests_total"


def value(text: str, name: str) -> float:
    return sum(number for (found, _), number in samples(text).items() if found == name)


def exemplars(text: str) -> set[str]:
    return {s.exemplar.labels["request_id"] for f in openmetrics(text) for s in f.samples if s.exemplar}


@each_row("accept", ["", OPENMETRICS])
def test_what_is_counted_is_written_with_the_last_exemplar(accept: str) -> None:
    registry = MetricRegistry()
    for n in range(1, 4):
        registry.counter(REQUESTS, "GET", "/a", "200").inc()
        registry.histogram(DURATION, "GET", "/a").observe(0.1, {"request_id": f"req-{n}"})
    text = registry.text(accept)[0].decode()
    assert 'route="/a",status="200"} 3.0' in text
    assert f'{DURATION}_count{{method="GET",route="/a"}} 3.0' in text
    assert text.count(f"# TYPE {DURATION} histogram\n") == 1
    if accept:
        assert exemplars(text) == {"req-3"}


def test_the_names_of_the_catalogue_are_written_as_the_client_would_escape_them() -> None:
    registry = MetricRegistry()
    registry.histogram(DURATION, "GET", 'a\\"\n').observe(0.1, {"request_id": "b\\"})
    families = list(registry.collect())

    class Same(MetricRegistry):
        """What it collects stays as it is, also of the process."""

        def collect(self) -> Iterator[Family]:
            return iter(families)

    assert Same().text(OPENMETRICS)[0] == exposition.generate_latest(Same())


def test_nothing_that_is_counted_during_a_scrape_is_missing_in_the_next_one() -> None:
    registry, rounds = MetricRegistry(), 100
    running = [threading.Thread(target=_count, args=(registry, rounds)) for _ in range(3)]
    for thread in running:
        thread.start()
    while any(thread.is_alive() for thread in running):
        registry.text("")
        registry.text(OPENMETRICS)
    for accept in ("", OPENMETRICS):
        text = registry.text(accept)[0].decode().replace("# EOF\n", "")
        assert value(text, f"{DURATION}_count") == 3 * rounds
        assert f'route="/a",status="200"}} {3 * rounds}.0' in text


def _count(registry: MetricRegistry, rounds: int) -> None:
    for n in range(rounds):
        registry.counter(REQUESTS, "GET", "/a", "200").inc()
        registry.histogram(DURATION, "GET", f"/{n % 5}").observe(n / 100, {"request_id": f"req-{n}"})


def test_label_values_are_escaped() -> None:
    registry = MetricRegistry()
    registry.counter(REQUESTS, "GET", 'a"\\\n{}', "200").inc()
    for accept in ("", OPENMETRICS):
        assert 'route="a\\"\\\\\\n{}"' in registry.text(accept)[0].decode()


def test_any_accept_header_is_answered_in_a_format_of_prometheus(tmp_path: Path) -> None:
    wanted = {
        "application/openmetrics-text;version=no;q=1": "application/openmetrics-text",
        "application/openmetrics-text;version=1.0.0;escaping=dots,*/*": "application/openmetrics-text",
        "Text/Plain; version=0.0.4, application/openmetrics-text": "text/plain",
        "text/html, */*;q=0.1": "text/plain",
        ",;=,\u00e9": "text/plain",
    }

    asked = (("GET", "/metrics", {"headers": {"Accept": a.encode()}}) for a in wanted)
    answers = send(make_app(tmp_path), *asked)
    assert [answer.status_code for answer in answers] == [200] * len(wanted)
    assert [answer.headers["content-type"].partition(";")[0] for answer in answers] == [*wanted.values()]


def test_the_first_analysis_is_seen_since_every_known_histogram_begins_at_0(tmp_path: Path) -> None:
    """rate() knows nothing of the first sample of a series; a mean over 5 minutes would have been empty."""
    text = make_app(tmp_path).metrics.render("")[0].decode()
    for name in ("techsapo_wallbounce_confidence", "techsapo_wallbounce_consensus"):
        for task in metrics()[name].values["task_type"]:
            assert f'{name}_count{{task_type="{task}"}} 0.0\n' in text
            assert f'{name}_sum{{task_type="{task}"}} 0.0\n' in text
    assert 'techsapo_llm_request_duration_seconds_count{model="simulated-1",provider="sim-a"} 0.0\n' in text
    assert 'techsapo_llm_agreement_count{provider_pair="sim-a|sim-b"} 0.0\n' in text


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
