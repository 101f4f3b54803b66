from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from instances import URL, post, samples, until, within
from orchestrator import QUICK, client_of, make_app
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from servers import free_port

from techsapo_ops.catalogue.series import metrics
from techsapo_ops.serve.app import App
from techsapo_ops.serve.metrics.registry import MetricRegistry

SERVER_ONLY = {"techsapo_active_connections"}
"""Known to the HTTP server, which a test in this process does not have."""
REDIS_ONLY = {"techsapo_redis_consecutive_errors"}
LIMITED_ONLY = {"techsapo_memory_limit_bytes"}
"""Where this process runs in a cgroup with a limit."""
DRILL_ONLY = {"techsapo_drill_alert_until_timestamp_seconds"}
"""While the alert Drill is asked for."""
VENDORS_ONLY = {"techsapo_llm_breaker_state", "techsapo_provider_refusing"}
VENDORS_ONLY |= {"techsapo_provider_model_retires_timestamp_seconds"}
"""Simulated providers have no breaker and no model that ends, and none refuses here."""
COMPATIBLE = "openai-compatible"
VENDORS = {
    name: {"kind": kind, "model": "m", "api_key": "k", "base_url": "http://127.0.0.1:9/v1", "price": {}}
    for name, kind in (("gpt", "openai"), ("gemini", "google"), ("flash", "google"), ("qwen", COMPATIBLE))
}
GUIDE = {name for name, metric in metrics().items() if metric.kind == "untyped"}


def scrape(app: App, *prompts: str, paths: tuple[str, ...] = ()) -> str:
    async def work(client: httpx.AsyncClient) -> str:
        for prompt in prompts:
            await client.post(URL, json={"prompt": prompt})
        for path in paths:
            await client.get(path)
        await client.get("/metrics")  # CPU needs two looks
        return (await client.get("/metrics")).text

    return within(app, work)


@pytest.fixture(scope="module")
def disk_full(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What an instance tells after one question."""
    return scrape(make_app(tmp_path_factory.mktemp("app")), "disk full")


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What an instance tells before any question."""
    return scrape(make_app(tmp_path_factory.mktemp("app")))


def called(provider: str, status: str) -> tuple[tuple[str, str], ...]:
    """The labels of calls of a basic question."""
    return (
        ("model", "simulated-1"), ("provider", provider), ("status", status), ("task_type", "basic"),
    )  # fmt: skip


def names(text: str) -> set[str]:
    found = {name for name, _ in samples(text) if name.startswith("techsapo_")}
    return {n for n in found if not n.endswith("_created")}


def test_every_metric_of_the_catalogue_is_exported_and_nothing_else(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    held = {"alert": "AppDown", "of": "", "by": "hanako"}  # what a stack with Alertmanager has
    app.metrics.read("techsapo_alert_acknowledged", lambda: [(held, 1)])
    text = scrape(app, "disk full")
    exported = names(text)
    wanted = {series for metric in metrics().values() for series in metric.series}
    assert wanted - exported - SERVER_ONLY - LIMITED_ONLY == VENDORS_ONLY | REDIS_ONLY | DRILL_ONLY
    assert exported - wanted == set()
    by_series = {series: metric for metric in metrics().values() for series in metric.series}
    for name, labels in samples(text):
        if name in by_series:
            assert {k for k, _ in labels} - {"le"} == set(by_series[name].labels), name


def test_the_guides_names_are_untyped_and_stand_as_they_are_written(disk_full: str) -> None:
    text = disk_full
    for name in GUIDE - SERVER_ONLY:
        assert metrics()[name].help in text
        assert f"# TYPE {name} untyped" in text
    assert "\ntechsapo_wallbounce_cost_usd " in text
    assert '\ntechsapo_provider_cost_usd{provider="sim-a"} ' in text


def test_an_idle_instance_has_no_ratios(idle: str) -> None:
    ratios = {f"techsapo_wallbounce_{r}" for r in ("success_rate", "avg_confidence_5m", "consensus_score")}
    assert names(idle) & {*ratios, "techsapo_llm_success_rate_by_provider"} == set()


async def test_values_agree_with_what_was_answered(tmp_path: Path) -> None:
    app = make_app(tmp_path, budget={"count_simulated": True})
    async with client_of(app) as client:
        bodies = [(await client.post(URL, json={"prompt": p})).json() for p in ("a", "b", "a")]
        first, second, _ = bodies
        told = {
            "cost": sum(b["cost_usd"] for b in bodies),
            "confidence": (first["confidence"] + second["confidence"]) / 2,
            "consensus": (first["consensus"] + second["consensus"]) / 2,
        }
        text = (await client.get("/metrics")).text
    seen = samples(text)
    task = ("task_type", "basic")
    assert seen[("techsapo_wallbounce_requests_total", (("status", "success"), task))] == 2
    assert seen[("techsapo_wallbounce_cost_usd", ())] == pytest.approx(told["cost"])
    assert seen[("techsapo_wallbounce_avg_confidence_5m", ())] == pytest.approx(told["confidence"], abs=1e-4)
    assert seen[("techsapo_wallbounce_consensus_score", ())] == pytest.approx(told["consensus"], abs=1e-4)
    assert seen[("techsapo_wallbounce_success_rate", ())] == 1
    assert seen[("techsapo_llm_success_rate_by_provider", (("provider", "sim-a"),))] == 1
    assert seen[("techsapo_cache_requests_total", (("result", "hit"),))] == 1
    budget = app.options.spec.budget.monthly_usd
    for period, limit in (("month", budget), ("day", budget / 30)):
        percent = seen[("techsapo_budget_utilization_percent", (("period", period),))]
        assert percent == pytest.approx(100 * told["cost"] / limit)
        assert seen[("techsapo_budget_spent_usd", (("period", period),))] == pytest.approx(told["cost"])
        assert seen[("techsapo_budget_limit_usd", (("period", period),))] == pytest.approx(limit)
    pair = (("provider_pair", "sim-a|sim-b"),)
    assert seen[("techsapo_llm_agreement_count", pair)] == 2
    assert seen[("techsapo_provider_up", (("provider", "sim-a"),))] == 1
    assert seen[("techsapo_budget_utilization_percent", (("period", "day"),))] > 0


def test_the_guide_names_vendors_where_it_asks_for_costs_and_success(tmp_path: Path) -> None:
    quick = {name: {**vendor, "attempts": 1} for name, vendor in VENDORS.items()}
    seen = samples(scrape(make_app(tmp_path, providers=quick), "a"))

    def providers(name: str) -> set[str]:
        return {dict(labels)["provider"] for found, labels in seen if found == name}

    assert providers("techsapo_provider_cost_usd") == {"openai", "google", "qwen"}
    assert providers("techsapo_llm_success_rate_by_provider") == {"GPT", "Gemini", "qwen"}
    assert providers("techsapo_llm_requests_total") == set(VENDORS)


def test_breakers_tell_their_state(tmp_path: Path) -> None:
    one = {name: {**VENDORS[name], "attempts": 1} for name in ("gpt", "qwen")}
    app = make_app(tmp_path, providers=one, wallbounce={"breaker": {"failures": 1}})
    seen = samples(scrape(app, "a"))
    labels = (("model", "m"), ("provider", "gpt"))
    told = [seen[("techsapo_llm_breaker_state", (*labels, ("state", s)))] for s in ("open", "closed")]
    assert (told, seen[("techsapo_provider_up", (("provider", "gpt"),))]) == ([1, 0], 0)


def test_errors_are_counted_by_the_code_of_their_problem(tmp_path: Path) -> None:
    seen = samples(scrape(make_app(tmp_path), " ", paths=("/nope",)))
    assert seen[("techsapo_errors_total", (("code", "invalid_request"),))] == 1
    assert seen[("techsapo_errors_total", (("code", "not_found"),))] == 1
    assert seen[("techsapo_errors_total", (("code", "internal_error"),))] == 0


def test_a_redis_that_is_away_is_counted_by_use_and_in_a_row(tmp_path: Path) -> None:
    app = make_app(tmp_path, redis={"port": free_port()})
    seen = samples(scrape(app, "a"))
    reading = (("operation", "read"), ("use", "answers"))
    assert seen[("techsapo_redis_consecutive_errors", reading)] >= 1
    assert ("techsapo_redis_consecutive_errors", (("operation", "read"), ("use", "replies"))) not in seen


def test_rows_of_the_audit_log_and_those_that_wait_are_counted(tmp_path: Path) -> None:
    app = make_app(tmp_path)

    async def work(client: httpx.AsyncClient) -> str:
        await client.post(URL, json={"prompt": "a"})
        return await until(client, 'techsapo_audit_writes_total{status="success"} 1.0')

    seen = samples(within(app, work))
    assert seen[("techsapo_audit_queue_rows", ())] == 0
    assert seen[("techsapo_audit_spool_rows", ())] == 0
    app.audit.put(SimpleNamespace(id="1"))  # type: ignore[arg-type] # it has stopped: whatever comes waits
    assert samples(app.metrics.render("")[0].decode())[("techsapo_audit_queue_rows", ())] >= 1


def test_simulated_money_is_shown_and_uses_no_budget_up(tmp_path: Path) -> None:
    app = make_app(tmp_path, budget={"monthly_usd": 0.0000001, "per_request_usd": 0.0000001})
    answers = post(app, URL, *({"prompt": f"x {n}"} for n in range(4)))
    assert {r.status_code for r in answers} == {200}
    seen = samples(app.metrics.render("")[0].decode())
    cost = sum(r.json()["cost_usd"] for r in answers)
    assert cost > 0
    assert seen[("techsapo_wallbounce_cost_usd", ())] == pytest.approx(cost)
    for period in ("day", "month"):
        assert seen[("techsapo_budget_spent_usd", (("period", period),))] == 0
        assert seen[("techsapo_budget_exhausted", (("period", period),))] == 0


def test_failures_are_counted_by_kind(tmp_path: Path) -> None:
    down = {name: {**provider, "rate_limit_rate": 1} for name, provider in QUICK.items()}
    seen = samples(scrape(make_app(tmp_path, providers=down), "a"))
    labels = called("sim-a", "rate_limited")
    assert seen[("techsapo_llm_requests_total", labels)] == 1
    assert seen[("techsapo_wallbounce_requests_total", (("status", "error"), ("task_type", "basic")))] == 1
    assert seen[("techsapo_wallbounce_success_rate", ())] == 0


def test_a_call_that_ends_with_its_client_is_not_the_providers_fault(tmp_path: Path) -> None:
    slow = {"sim-a": {**QUICK["sim-a"], "latency": "60s"}, "sim-b": QUICK["sim-b"]}
    app = make_app(tmp_path, providers=slow)
    answered = 'provider="sim-b",status="success",task_type="basic"} 1.0'

    async def work(client: httpx.AsyncClient) -> str:
        asked = asyncio.create_task(client.post(URL, json={"prompt": "a"}))
        await until(client, answered)
        asked.cancel()
        await until(client, "techsapo_inflight_analyses 0.0")
        # That scrape may have written the counters before the call ended and the gauge after it.
        return (await client.get("/metrics")).text

    seen = samples(within(app, work))
    labels = called("sim-a", "cancelled")
    assert seen[("techsapo_llm_requests_total", labels)] == 1
    assert ("techsapo_llm_success_rate_by_provider", (("provider", "sim-a"),)) not in seen


def test_the_first_failure_of_a_route_is_seen_since_its_series_begins_at_0(idle: str) -> None:
    seen = samples(idle)
    for route in (URL, "/api/v1/analyze-logs", "/v1/chat/completions"):
        for status in ("200", "500", "502", "503", "504"):
            labels = (("method", "POST"), ("route", route), ("status", status))
            assert seen[("techsapo_http_requests_total", labels)] == 0
        assert seen[("techsapo_http_request_duration_seconds_count", labels[:2])] == 0


async def test_hostile_paths_and_methods_make_no_new_series(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with client_of(app) as client:

        async def http_series() -> int:
            return len(samples((await client.get("/metrics")).text))

        await client.get("/x")
        await client.request("BREW", "/x")
        await client.get("/metrics")
        before = await http_series()
        for n in range(300):
            path = f"/x{n}/%2e%2e/{n}?q={n}" if n % 2 else f"/api/v1/generate/{n}"
            await client.request("GET" if n % 3 else f"M{n}", path, headers={"x-user-id": f"u{n}"})
        assert await http_series() == before


async def test_scrapes_that_come_at_once_are_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, over = threading.Event(), threading.Event()
    written: list[str] = []

    def text(_: MetricRegistry, accept: str) -> tuple[bytes, str]:
        written.append(accept)
        begun.set()
        assert over.wait(60)
        return f"{len(written)} {accept}".encode(), "text/plain"

    monkeypatch.setattr(MetricRegistry, "text", text)
    async with client_of(make_app(tmp_path)) as client:

        async def get(accept: str) -> str:
            return (await client.get("/metrics", headers={"Accept": accept})).text

        first = asyncio.create_task(get("a"))
        await asyncio.to_thread(begun.wait, 60)
        others = [asyncio.create_task(get(accept)) for accept in ("a", "a", "b")]
        while len(written) < 2:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.001)
        over.set()
        told = await asyncio.gather(first, *others)
        later = await get("a")
    assert told[0] == told[1] == told[2]
    assert (sorted(written), later) == (["a", "a", "b"], "3 a")


def test_a_bucket_leads_to_the_request_that_fell_into_it(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    long = "q" * 128

    async def work(client: httpx.AsyncClient) -> str:
        for request_id in ("req-7", long):
            await client.post(URL, json={"prompt": request_id}, headers={"X-Request-ID": request_id})
        return app.metrics.render("application/openmetrics-text; version=1.0.0")[0].decode()

    ids: dict[str, set[str]] = {}
    for family in openmetrics(within(app, work)):
        for sample in family.samples:
            if sample.exemplar is not None:
                ids.setdefault(family.name, set()).add(sample.exemplar.labels["request_id"])
    histograms = {n for n, m in metrics().items() if m.kind == "histogram"}
    assert set(ids) == histograms
    assert all(found <= {"req-7", long[:118]} for found in ids.values())


@pytest.mark.needs("promtool")
def test_promtool_finds_nothing_wrong_with_simulated_and_real_vendors(tmp_path: Path, disk_full: str) -> None:
    one = {"gpt": {**VENDORS["gpt"], "attempts": 1}, "gemini": {**VENDORS["gemini"], "attempts": 1}}
    promtool = shutil.which("promtool")
    assert promtool is not None
    for text in (disk_full, scrape(make_app(tmp_path, providers=one), "disk full", paths=("/", "/nope"))):
        done = subprocess.run([promtool, "check", "metrics"], input=text, text=True, capture_output=True)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")
