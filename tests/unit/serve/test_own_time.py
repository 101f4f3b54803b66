"""What of the time of an answer is ours, and how an analysis ended, whatever carried it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from orchestrator import QUICK, client_of, make_app
from prometheus_client.parser import text_string_to_metric_families
from rows import each_row

from techsapo_ops.catalogue.rules import ANSWERING
from techsapo_ops.serve.app import App
from techsapo_ops.serve.loop_lag import TICK, LoopLag
from techsapo_ops.serve.own_time import OwnTime
from techsapo_ops.wallbounce.vendor_wait import VendorWait

SLOW = {n: {**p, "latency": {"mean": "400ms", "jitter": 0}} for n, p in QUICK.items()}
DOWN = {n: {**p, "error_rate": 1} for n, p in QUICK.items()}
ENDLESS: dict[str, Any] = {"latency": {"mean": "50s", "jitter": 0}}
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
carried = pytest.mark.parametrize("carrier", CARRIERS)


def seen(app: App, name: str, label: str = "", **labels: str) -> dict[str, float]:
    """The samples of `name` with these labels that are not 0, by the value of `label`."""
    text = app.metrics.render("")[0].decode()
    return {
        s.labels.get(label, ""): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
        if s.name == name and s.value and labels.items() <= s.labels.items()
    }


def asking(app: App, work: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    async def main() -> None:
        async with client_of(app) as client:
            await work(client)

    asyncio.run(main())


async def ask(client: httpx.AsyncClient, carrier: str, **headers: str) -> httpx.Response:
    path, body, own = CARRIERS[carrier]
    return await client.post(path, json=body, headers={**own, **headers})


def ends(app: App) -> dict[str, float]:
    """How many analyses ended how."""
    return seen(app, "techsapo_wallbounce_requests_total", "status")


def test_the_routes_that_answer_users_are_those_that_take_questions(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    asked = {path for path, methods in app.asgi.openapi()["paths"].items() if "post" in methods}
    assert asked == set(ANSWERING)


@carried
def test_an_analysis_that_is_answered_counts_once_whatever_carries_it(carrier: str, tmp_path: Path) -> None:
    app = make_app(tmp_path)

    async def work(client: httpx.AsyncClient) -> None:
        assert (await ask(client, carrier)).status_code == 200
        assert (await ask(client, carrier)).status_code == 200  # kept

    asking(app, work)
    assert ends(app) == {"success": 1}
    assert seen(app, "techsapo_wallbounce_duration_seconds_count", "task_type") == {"basic": 1}
    assert seen(app, "techsapo_wallbounce_deadline_used_ratio_count", "task_type") == {"basic": 1}


@carried
def test_an_analysis_that_fails_counts_once_whatever_carries_it(carrier: str, tmp_path: Path) -> None:
    app = make_app(tmp_path, providers=DOWN)

    async def work(client: httpx.AsyncClient) -> None:
        await ask(client, carrier)

    asking(app, work)
    assert ends(app) == {"error": 1}
    assert seen(app, "techsapo_wallbounce_duration_seconds_count", "task_type") == {"basic": 1}


@carried
def test_a_stream_that_fails_after_its_headers_is_a_failed_stream_and_a_whole_answer_a_5xx(
    carrier: str, tmp_path: Path
) -> None:
    app = make_app(tmp_path, providers=DOWN)
    statuses = []

    async def work(client: httpx.AsyncClient) -> None:
        statuses.append((await ask(client, carrier)).status_code)

    asking(app, work)
    failed = seen(app, "techsapo_http_failed_streams_total", "route")
    path = CARRIERS[carrier][0]
    assert (statuses, failed) in [([200], {path: 1.0}), ([502], {})]
    assert (statuses == [200]) == (carrier in {"events", "a log's events", "chat's chunks"})


def test_a_stream_that_breaks_is_a_failed_stream_and_a_failed_analysis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(tmp_path, providers=SLOW)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr("techsapo_ops.serve.analyst.answer_body", broken)

    async def work(client: httpx.AsyncClient) -> None:
        with pytest.raises(RuntimeError):
            await ask(client, "events")

    asking(app, work)
    assert ends(app) == {"error": 1}
    assert seen(app, "techsapo_http_failed_streams_total", "route") == {GENERATE: 1}


def test_those_who_join_a_question_that_fails_do_not_make_more_failures_of_it(tmp_path: Path) -> None:
    app = make_app(tmp_path, providers={n: {**p, "error_rate": 1} for n, p in SLOW.items()})

    async def work(client: httpx.AsyncClient) -> None:
        assert {r.status_code for r in await asyncio.gather(*(ask(client, "JSON") for _ in range(5)))} == {
            502
        }

    asking(app, work)
    assert ends(app) == {"error": 1}


def test_what_is_refused_for_the_budget_is_no_failure(tmp_path: Path) -> None:
    app = make_app(tmp_path, budget={"per_request_usd": 0.000001, "count_simulated": True})

    async def work(client: httpx.AsyncClient) -> None:
        assert (await ask(client, "JSON")).status_code == 402
        assert (await ask(client, "events")).status_code == 402

    asking(app, work)
    assert ends(app) == {"refused": 2}
    assert seen(app, "techsapo_wallbounce_success_rate") == {}
    assert seen(app, "techsapo_wallbounce_duration_seconds_count") == {}


def test_an_app_that_is_full_has_failed_who_asks(tmp_path: Path) -> None:
    app = make_app(tmp_path, providers=SLOW, app={"limits": {"concurrency": 1}})

    async def work(client: httpx.AsyncClient) -> None:
        asked = [client.post(GENERATE, json={"prompt": f"x {n}"}) for n in range(3)]
        assert sorted(r.status_code for r in await asyncio.gather(*asked)) == [200, 503, 503]

    asking(app, work)
    assert ends(app) == {"success": 1, "error": 2}


def test_an_analysis_out_of_time_counts_as_failed_with_all_its_time(tmp_path: Path) -> None:
    endless = {n: {**p, **ENDLESS} for n, p in QUICK.items()}
    app = make_app(tmp_path, providers=endless, app={"limits": {"request_timeout": "200ms"}})

    async def work(client: httpx.AsyncClient) -> None:
        assert (await ask(client, "JSON")).status_code == 504

    asking(app, work)
    assert ends(app) == {"error": 1}
    assert seen(app, USED, "le", le="0.95") == {}, "no provider answered in its part of the time"
    assert seen(app, USED, "le", le="+Inf") == {"+Inf": 1}


@each_row("carrier", ["JSON", "events"])
def test_an_analysis_that_gave_a_provider_up_at_the_end_of_a_phase_has_used_all_of_its_time(
    carrier: str, tmp_path: Path
) -> None:
    one_is_late = {**QUICK, "sim-b": {**QUICK["sim-b"], **ENDLESS}}
    app = make_app(tmp_path, providers=one_is_late, app={"limits": {"request_timeout": "1s"}})

    async def work(client: httpx.AsyncClient) -> None:
        await ask(client, carrier)

    asking(app, work)
    assert seen(app, USED, "le", le="0.95") == {}, "it ended when less than half of it was over"
    assert seen(app, USED, "le", le="+Inf") == {"+Inf": 1}


def test_a_provider_that_is_late_by_its_own_time_out_has_not_used_all_of_an_analysiss_time(
    tmp_path: Path,
) -> None:
    one_is_late = {**QUICK, "sim-b": {**QUICK["sim-b"], **ENDLESS, "timeout": "100ms"}}
    app = make_app(tmp_path, providers=one_is_late)

    async def work(client: httpx.AsyncClient) -> None:
        assert (await ask(client, "JSON")).status_code == 200

    asking(app, work)
    assert seen(app, USED, "le", le="0.8") == {"0.8": 1}


def test_the_wait_for_vendors_is_not_ours(tmp_path: Path) -> None:
    app = make_app(tmp_path, providers=SLOW)

    async def work(client: httpx.AsyncClient) -> None:
        await ask(client, "JSON")

    asking(app, work)
    whole = seen(app, "techsapo_http_request_duration_seconds_sum", "route")[GENERATE]
    own = seen(app, "techsapo_http_own_duration_seconds_sum", "route")[GENERATE]
    # Less than .8: on a busy machine an answer that is there is read late, which is ours.
    assert whole - own >= 0.6, "two phases of 400 ms each, in which all are asked at once"
    assert whole >= 0.8


def test_the_log_says_how_much_of_a_requests_time_was_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(tmp_path, providers=SLOW)
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr("techsapo_ops.serve.middleware.log.info", lambda _, **said: lines.append(said))

    async def work(client: httpx.AsyncClient) -> None:
        await ask(client, "JSON")
        await client.get("/")

    asking(app, work)
    asked, page = lines
    assert asked["processingTime"] - asked["ownTime"] >= 600
    assert "ownTime" not in page


@each_row("carrier", ["events", "chat's chunks"])
def test_of_a_stream_the_time_to_its_first_event_is_ours(carrier: str, tmp_path: Path) -> None:
    slower = {n: {**p, "latency": {"mean": "3s", "jitter": 0}} for n, p in QUICK.items()}
    app = make_app(tmp_path, providers=slower, app={"limits": {"request_timeout": "2s"}})
    took = []

    async def work(client: httpx.AsyncClient) -> None:
        began = time.perf_counter()
        await ask(client, carrier)
        took.append(time.perf_counter() - began)

    asking(app, work)
    path = CARRIERS[carrier][0]
    assert seen(app, "techsapo_http_own_duration_seconds_count", "route") == {path: 1}
    own = seen(app, "techsapo_http_own_duration_seconds_sum", "route")[path]
    assert took[0] - own > 0.5, "what follows waits for the end of a phase, of almost a second"


def test_who_waits_for_anothers_analysis_has_no_time_of_ours(tmp_path: Path) -> None:
    app = make_app(tmp_path, providers=SLOW)

    async def work(client: httpx.AsyncClient) -> None:
        same = {"Idempotency-Key": "k"}
        await asyncio.gather(
            *(ask(client, "JSON") for _ in range(3)),
            *(client.post(GENERATE, json={"prompt": "y"}, headers=same) for _ in range(3)),
        )

    asking(app, work)
    assert seen(app, "techsapo_http_own_duration_seconds_count", "route") == {GENERATE: 2}


def test_what_is_refused_at_the_door_takes_no_part_in_the_time_that_is_ours(tmp_path: Path) -> None:
    app = make_app(tmp_path)

    async def work(client: httpx.AsyncClient) -> None:
        for body in ({"prompt": " "}, {"prompt": "x", "task_type": "none"}, {}):
            assert (await client.post(GENERATE, json=body)).status_code == 422
        await ask(client, "JSON")

    asking(app, work)
    assert seen(app, "techsapo_http_own_duration_seconds_count", "route") == {GENERATE: 1}


def test_the_guides_response_time_is_that_of_answers_to_users_alone(tmp_path: Path) -> None:
    app = make_app(tmp_path)

    async def work(client: httpx.AsyncClient) -> None:
        for path in ("/api/v1/status", "/health", "/metrics", "/", "/api/v1/dashboards"):
            await client.get(path)
        assert seen(app, "techsapo_http_p95_response_time") == {}
        await ask(client, "JSON")

    asking(app, work)
    assert seen(app, "techsapo_http_p95_response_time")[""] > 0


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_loop_that_does_not_run_is_not_a_wait_for_the_vendor() -> None:
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
        with wait.lasts():
            clock.now += 10  # somebody blocks the loop: the timer is late
        counted.append(wait.seconds())

    async def main() -> None:
        watching = asyncio.create_task(lag.watch(pause))
        await over.wait()
        watching.cancel()

    asyncio.run(main())
    assert counted == [0.0], "also before the watch itself has run again"
    assert delays == [10.0]
    assert own.seconds() == pytest.approx(10 + 2 * TICK)


def test_a_blocked_event_loop_shows_in_the_time_that_is_ours(tmp_path: Path) -> None:
    app = make_app(tmp_path, providers=SLOW)

    async def work(client: httpx.AsyncClient) -> None:
        asyncio.get_running_loop().call_later(0.2, spin, 0.6)
        await ask(client, "JSON")

    asking(app, work)
    own = seen(app, "techsapo_http_own_duration_seconds_sum", "route")[GENERATE]
    assert own > 0.3
    assert seen(app, "techsapo_event_loop_stalled_seconds_total")[""] > 0.3


def test_who_comes_while_the_event_loop_is_blocked_has_waited_for_it(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    owns: list[float] = []

    async def work(client: httpx.AsyncClient) -> None:
        async def asked(prompt: str) -> None:
            await client.post(GENERATE, json={"prompt": prompt})
            owns.append(seen(app, "techsapo_http_own_duration_seconds_sum", "route")[GENERATE] - sum(owns))

        await asyncio.sleep(TICK)
        spin(0.6)
        await asked("at once")
        await asyncio.sleep(2 * TICK)
        for number in range(5):
            await asked(f"later {number}")

    asking(app, work)
    waited, *later = owns
    assert waited > 0.3
    assert min(later) < waited, "it is not counted again; a busy machine delays some, not all"


def spin(seconds: float) -> None:
    """Keep the thread, and the event loop in it, busy."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        sum(range(1000))
