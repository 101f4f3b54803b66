from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import httpx
import pytest
from orchestrator import client_of, make_app
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from rows import each_row

from techsapo_ops.catalogue.metrics import metrics
from techsapo_ops.serve.exposition import accepted
from techsapo_ops.serve.metric_registry import MetricRegistry

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
DURATION, REQUESTS = "techsapo_http_request_duration_seconds", "techsapo_http_requests_total"


def value(text: str, name: str) -> float:
    return sum(s.value for f in text_string_to_metric_families(text) for s in f.samples if s.name == name)


def exemplars(text: str) -> set[str]:
    return {s.exemplar.labels["request_id"] for f in openmetrics(text) for s in f.samples if s.exemplar}


@each_row("accept", ["", OPENMETRICS])
def test_lines_that_are_kept_from_the_last_scrape_are_written_anew_once_their_series_changes(
    accept: str,
) -> None:
    registry = MetricRegistry()
    moved, still = (registry.counter(REQUESTS, "GET", path, "200") for path in ("/a", "/b"))
    still.inc(7)
    for n in range(1, 4):
        moved.inc()
        registry.histogram(DURATION, "GET", "/a").observe(0.1, {"request_id": f"req-{n}"})
        text = registry.text(accept)[0].decode()
        assert f'route="/a",status="200"}} {n}.0' in text
        assert 'route="/b",status="200"} 7.0' in text
        assert f'{DURATION}_count{{method="GET",route="/a"}} {n}.0' in text
        if accept:
            assert exemplars(text) == {f"req-{n}"}


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

    async def main() -> list[httpx.Response]:
        async with client_of(make_app(tmp_path)) as client:
            return [await client.get("/metrics", headers={"Accept": a.encode()}) for a in wanted]

    answers = asyncio.run(main())
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


@each_row("accept", ["", OPENMETRICS])
def test_a_histogram_is_written_as_the_client_would_write_it(
    accept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 1_764_000_000.25)
    entry = metrics()[DURATION]
    registry, own = MetricRegistry(), CollectorRegistry()
    theirs = Histogram(entry.name, entry.help, entry.labels, buckets=entry.buckets, registry=own)
    for n, seconds in enumerate((0.0, entry.buckets[0], 0.0301, 0.1, 0.1, 7, entry.buckets[-1], 1e9)):
        one = {"request_id": f"req-{n}"}
        registry.histogram(DURATION, "GET", "/a").observe(seconds, one)
        theirs.labels("GET", "/a").observe(seconds, one)
    wanted = accepted(accept).encode(own).decode()
    text = registry.text(accept)[0].decode()
    assert wanted.replace("# EOF\n", "") in text
