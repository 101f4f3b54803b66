"""What of the time of an answer is ours, and how an analysis ended, whatever carried it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from instances import post, within
from orchestrator import QUICK, client_of, make_app
from prometheus_client.parser import text_string_to_metric_families
from rows import each_row

from techsapo_ops.catalogue.series import ANSWERING
from techsapo_ops.serve.app import App
from techsapo_ops.serve.metrics.own_time import TICK, LoopLag, OwnTime
from techsapo_ops.wallbounce.context import VendorWait

SLOW = {n: {**p, "latency": "200ms"} for n, p in QUICK.items()}
DOWN = {n: {**p, "error_rate": 1} for n, p in QUICK.items()}
ENDLESS: dict[str, Any] = {"latency": "50s"}
USED = "techsapo_wallbounce_deadline_used_ratio_bucket"
SSE = {"Accept": "text/event-stream"}
CHAT = {"model": "techsapo-basic", "messages": [{"role": "user", "content": "x"}]}
GENERATE, LOGS, COMPLETIONS = ANSWERING
CARRIERS: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "JSON": (GENERATE, {"prompt": "x"}, {}),
    "events": (GENERATE, {"prompt": "x"}, SSE),
    "a log's events": (LOGS, {"error_output": "disk full"}, SSE),
    "chat": (COMPLETIONS, CHAT, {}),
    "chat's chunks": (COMPLETIONS, {**CHAT, "stream": True}, {}),
}


def seen(app: App, name: str, label: str = "", **labels: str) -> dict[str, float]:
    """The samples of `name` with these labels that are not 0, by the value of `label`."""
    text = app.metrics.render("")[0].decode()
    return {
        s.labels.get(label, ""): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
        if s.name == name and s.value and labels.items() <= s.labels.items()
    }


async def ask(client: httpx.AsyncClient, carrier: str, **headers: str) -> httpx.Response:
    path, body, own = CARRIERS[carrier]
    return await client.post(path, json=body, headers={**own, **headers})


def ends(app: App) -> dict[str, float]:
    """How many analyses ended how."""
    return seen(app, "techsapo_wallbounce_requests_total", "status")


def counted(app: App) -> tuple[dict[str, float], dict[str, float]]:
    """How many analyses ended how, and how many took their time."""
    return ends(app), seen(app, "techsapo_wallbounce_duration_seconds_count", "task_type")


@each_row("carrier", CARRIERS)
def test_an_analysis_that_is_answered_counts_once_whatever_carries_it(carrier: str, tmp_path: Path) -> None:
    app = make_app(tmp_path)
    path, body, own = CARRIERS[carrier]
    assert [answer.status_code for answer in post(app, path, body, body, **own)] == [200, 200]  # one is kept
    assert counted(app) == ({"success": 1}, {"basic": 1})
    assert seen(app, "techsapo_wallbounce_deadline_used_ratio_count", "task_type") == {"basic": 1}


@each_row("carrier", CARRIERS)
def test_an_analysis_that_fails_counts_once_and_after_its_headers_as_a_failed_stream(
    carrier: str, tmp_path: Path
) -> None:
    app = make_app(tmp_path, providers=DOWN)
    status = within(app, lambda client: ask(client, carrier)).status_code
    assert counted(app) == ({"error": 1}, {"basic": 1})
    failed = seen(app, "techsapo_http_failed_streams_total", "route")
    path = CARRIERS[carrier][0]
    streamed = carrier in {"events", "a log's events", "chat's chunks"}
    assert (status, failed) == ((200, {path: 1.0}) if streamed else (502, {}))


def test_a_stream_that_breaks_is_a_failed_stream_and_a_failed_analysis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(tmp_path, providers=SLOW)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("techsapo_ops.serve.answers.analyst.answer_document", broken)
    with pytest.raises(RuntimeError):
        within(app, lambda client: ask(client, "events"))
    assert ends(app) == {"error": 1}
    assert seen(app, "techsapo_http_failed_streams_total", "route") == {GENERATE: 1}


def test_those_who_join_a_question_that_fails_do_not_make_more_failures_of_it(tmp_path: Path) -> None:
    app = make_app(tmp_path, providers={n: {**p, "error_rate": 1} for n, p in SLOW.items()})
    answers = within(app, lambda client: asyncio.gather(*(ask(client, "JSON") for _ in range(5))))
    assert {answer.status_code for answer in answers} == {502}
    assert ends(app) == {"error": 1}


def test_what_is_refused_for_the_budget_is_no_failure(tmp_path: Path) -> None:
    app = make_app(tmp_path, budget={"per_request_usd": 0.000001, "count_simulated": True})

    async def in_turn(client: httpx.AsyncClient) -> list[int]:
        return [(await ask(client, carrier)).status_code for carrier in ("JSON", "events")]

    assert within(app, in_turn) == [402, 402]
    assert ends(app) == {"refused": 2}
    assert seen(app, "techsapo_wallbounce_success_rate") == {}
    assert seen(app, "techsapo_wallbounce_duration_seconds_count") == {}


def test_an_app_that_is_full_has_failed_who_asks(tmp_path: Path) -> None:
    app = make_app(tmp_path, providers=SLOW, app={"limits": {"concurrency": 1}})
    asked = ({"json": {"prompt": f"x {n}"}} for n in range(3))
    answers = within(app, lambda client: asyncio.gather(*(client.post(GENERATE, **each) for each in asked)))
    assert sorted(answer.status_code for answer in answers) == [200, 503, 503]
    assert ends(app) == {"success": 1, "error": 2}


def test_an_analysis_out_of_time_counts_as_failed_with_all_its_time(tmp_path: Path) -> None:
    endless = {n: {**p, **ENDLESS} for n, p in QUICK.items()}
    app = make_app(tmp_path, providers=endless, app={"limits": {"request_timeout": "100ms"}})
    assert within(app, lambda client: ask(client, "JSON")).status_code == 504
    assert ends(app) == {"error": 1}
    assert seen(app, USED, "le", le="0.95") == {}, "no provider answered in its part of the time"
    assert seen(app, USED, "le", le="+Inf") == {"+Inf": 1}


def test_an_analysis_that_gave_a_provider_up_at_the_end_of_a_phase_has_used_all_of_its_time(
    tmp_path: Path,
) -> None:
    one_is_late = {**QUICK, "sim-b": {**QUICK["sim-b"], **ENDLESS}}
    app = make_app(tmp_path, providers=one_is_late, app={"limits": {"request_timeout": "500ms"}})
    within(app, lambda client: ask(client, "JSON"))
    assert seen(app, USED, "le", le="0.95") == {}, "it ended when less than half of it was over"
    assert seen(app, USED, "le", le="+Inf") == {"+Inf": 1}


def test_the_wait_for_vendors_is_not_ours(tmp_path: Path) -> None:
    app = make_app(tmp_path, providers=SLOW)
    within(app, lambda client: ask(client, "JSON"))
    whole = seen(app, "techsapo_http_request_duration_seconds_sum", "route")[GENERATE]
    own = seen(app, "techsapo_http_own_duration_seconds_sum", "route")[GENERATE]
    # Less than .4: on a busy machine an answer that is there is read late, which is ours.
    assert whole - own >= 0.3, "two phases of 200 ms each, in which all are asked at once"
    assert whole >= 0.4


async def test_who_waits_for_anothers_analysis_has_no_time_of_ours(tmp_path: Path) -> None:
    app = make_app(tmp_path, providers=SLOW)
    async with client_of(app) as client:
        same = {"Idempotency-Key": "k"}
        await asyncio.gather(
            *(ask(client, "JSON") for _ in range(3)),
            *(client.post(GENERATE, json={"prompt": "y"}, headers=same) for _ in range(3)),
        )
    assert seen(app, "techsapo_http_own_duration_seconds_count", "route") == {GENERATE: 2}


def test_what_is_refused_at_the_door_takes_no_part_in_the_time_that_is_ours(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    bodies = ({"prompt": " "}, {"prompt": "x", "task_type": "none"}, {}, {"prompt": "x"})
    assert [answer.status_code for answer in post(app, GENERATE, *bodies)] == [422, 422, 422, 200]
    assert seen(app, "techsapo_http_own_duration_seconds_count", "route") == {GENERATE: 1}


async def test_the_guides_response_time_is_that_of_answers_to_users_alone(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    async with client_of(app) as client:
        for path in ("/api/v1/status", "/health", "/metrics", "/", "/api/v1/dashboards"):
            await client.get(path)
        assert seen(app, "techsapo_http_p95_response_time") == {}
        await ask(client, "JSON")
    assert seen(app, "techsapo_http_p95_response_time")[""] > 0


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_loop_that_does_not_run_is_not_a_wait_for_the_vendor() -> None:
    """The call was open for 12 s, in 10 of which nothing of ours ran: these are ours."""
    clock = Clock()
    delays: list[float] = []
    lag = LoopLag(delays.append, clock)
    own = OwnTime(clock)
    own.wait = wait = VendorWait(lag.running)
    counted: list[float] = []
    over = asyncio.Event()

    async def pause(seconds: float) -> None:
        clock.now += seconds
        if counted:
            over.set()
            await asyncio.Event().wait()
        with wait:
            clock.now += 10  # somebody blocks the loop: the timer is late
        counted.append(wait.seconds())

    watching = asyncio.create_task(lag.watch(pause))
    await over.wait()
    watching.cancel()
    assert counted == [0.0], "also before the watch itself has run again"
    assert delays == [10.0]
    assert own.seconds() == pytest.approx(10 + 2 * TICK)
