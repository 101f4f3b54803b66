from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from instances import SSE, URL, post, samples, until, within
from orchestrator import QUICK, client_of, make_app
from rows import each_row

from techsapo_ops.serve.app import App
from techsapo_ops.stores.flights import Flight, Flights

HELD = {n: {**p, "latency": "30s"} for n, p in QUICK.items()}
UNHURRIED = {n: {**p, "latency": "150ms"} for n, p in QUICK.items()}


def calls(app: App) -> float:
    """Calls to providers that were answered."""
    found = samples(app.metrics.render("")[0].decode()).items()
    success = ("status", "success")
    return sum(n for (name, k), n in found if name == "techsapo_llm_requests_total" and success in k)


async def test_a_hundred_identical_questions_cost_one_analysis(tmp_path: Path) -> None:
    app = make_app(tmp_path, providers=UNHURRIED, app={"limits": {"concurrency": 2}})
    async with client_of(app) as client:
        asked = [client.post(URL, json={"prompt": "disk full"}) for _ in range(100)]
        told = [r.json() for r in await asyncio.gather(*asked)]
    assert Counter(t["cache"] for t in told) == {"miss": 1, "hit": 99}
    paid = [t["cost_usd"] for t in told if t["cost_usd"]]
    assert len(paid) == 1
    assert calls(app) == 4  # two answers and two gradings
    assert len({t["request_id"] for t in told}) == 100
    assert len({t["answer"] for t in told}) == 1


async def test_the_analysis_goes_on_for_the_others_when_the_first_client_goes(tmp_path: Path) -> None:
    app = make_app(tmp_path, providers=UNHURRIED)
    async with client_of(app) as client:
        first = asyncio.create_task(client.post(URL, json={"prompt": "x"}))
        await until(client, "techsapo_inflight_analyses 1.0")
        second = asyncio.create_task(client.post(URL, json={"prompt": "x"}))
        await asyncio.sleep(0.02)
        first.cancel()
        assert (await second).status_code == 200


def events_of(text: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def test_a_stream_tells_each_step_and_ends_with_the_verdict(tmp_path: Path) -> None:
    question = {"prompt": "disk full"}
    first, again = post(make_app(tmp_path), URL, question, question, **SSE)
    assert first.headers["content-type"].startswith("text/event-stream")
    assert first.headers["x-accel-buffering"] == "no"
    names = [name for name, _ in events_of(first.text)]
    steps = ["asked", *["answered"] * 2, "grading", *["graded"] * 2, "settled", "verdict"]
    assert names == steps
    told = dict(events_of(first.text))
    assert told["asked"]["providers"] == told["grading"]["providers"] == ["sim-a", "sim-b"]
    assert told["settled"]["confidence"] == told["verdict"]["confidence"]
    graded = next(e for name, e in events_of(first.text) if name == "graded")
    assert 0 <= graded["grades"][0]["grade"] <= 1
    ((name, verdict),) = events_of(again.text)
    assert (name, verdict["cache"], verdict["cost_usd"]) == ("verdict", "hit", 0)


def test_a_problem_after_the_first_event_is_an_event(tmp_path: Path) -> None:
    down = {n: {**p, "error_rate": 1} for n, p in QUICK.items()}
    (streamed,) = post(make_app(tmp_path, providers=down), URL, {"prompt": "x"}, **SSE)
    told = events_of(streamed.text)
    assert told[0][0] == "asked"
    assert {event["provider"] for name, event in told if name == "failed"} == set(QUICK)
    assert (told[-1][0], told[-1][1]["code"]) == ("problem", "providers_failed")


@each_row("path", [URL, "/api/v1/analyze-logs"])
def test_an_idempotency_key_gets_the_same_answer_once_paid(tmp_path: Path, path: str) -> None:
    # In the language of the log: an answer in another one is asked for again.
    app = make_app(tmp_path, providers=UNHURRIED, wallbounce={"cache_ttl": "0s", "language": "auto"})
    body = {"prompt": "disk full"} if path == URL else {"error_output": "No space left on device"}
    other = {**body, "task_type": "premium"}

    async def work(client: httpx.AsyncClient) -> tuple[list[httpx.Response], httpx.Response]:
        key = {"Idempotency-Key": "k-1"}
        both = [client.post(path, json=body, headers=key) for _ in range(2)]
        told = [*await asyncio.gather(*both), await client.post(path, json=body, headers=key)]
        return told, await client.post(path, json=other, headers=key)

    told, reused = within(app, work)
    assert len({r.text for r in told}) == 1
    assert [r.headers.get("idempotency-replayed") for r in told] == [None, "true", "true"]
    assert calls(app) == 4
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")


async def test_another_body_with_a_key_that_is_under_way_is_refused_at_once(tmp_path: Path) -> None:
    app = make_app(tmp_path, providers=HELD)
    async with client_of(app) as client:
        key = {"Idempotency-Key": "k-1"}
        first = asyncio.create_task(client.post(URL, json={"prompt": "x"}, headers=key))
        await until(client, "techsapo_inflight_analyses 1.0")
        refused = await client.post(URL, json={"prompt": "y"}, headers=key)
        assert not first.done()
        first.cancel()
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")


def test_a_repeated_stream_gets_its_verdict_again_and_is_paid_once(tmp_path: Path) -> None:
    app = make_app(tmp_path, providers=UNHURRIED, wallbounce={"cache_ttl": "0s"})
    headers = {"Idempotency-Key": "k-1", "Accept": "text/event-stream"}

    async def work(client: httpx.AsyncClient) -> tuple[list[httpx.Response], httpx.Response, httpx.Response]:
        body = {"prompt": "disk full"}
        both = [client.post(URL, json=body, headers=headers) for _ in range(2)]
        told = [*await asyncio.gather(*both), await client.post(URL, json=body, headers=headers)]
        plain = await client.post(URL, json=body, headers={"Idempotency-Key": "k-1"})
        return told, plain, await client.post(URL, json={"prompt": "other"}, headers=headers)

    told, plain, reused = within(app, work)
    verdicts = [events_of(r.text)[-1] for r in told]
    assert {name for name, _ in verdicts} == {"verdict"}
    assert all(document == plain.json() for _, document in verdicts)
    assert [len(events_of(r.text)) for r in told] == [8, 1, 1]
    assert [r.headers.get("idempotency-replayed") for r in told] == [None, "true", "true"]
    assert calls(app) == 4
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")


def test_a_repeated_chat_stream_is_paid_once(tmp_path: Path) -> None:
    app = make_app(tmp_path, wallbounce={"cache_ttl": "0s"})
    body = {"model": "techsapo-basic", "messages": [{"role": "user", "content": "x"}], "stream": True}

    first, again = post(app, "/v1/chat/completions", body, body, **{"Idempotency-Key": "k-1"})
    assert first.text.count('"techsapo"') == again.text.count('"techsapo"') == 1
    assert again.headers["idempotency-replayed"] == "true"
    assert calls(app) == 4


async def test_the_work_ends_when_the_last_reader_of_a_stream_goes(tmp_path: Path) -> None:
    app = make_app(tmp_path, providers=HELD)
    async with client_of(app) as client:
        headers = {"Idempotency-Key": "k-1", "Accept": "text/event-stream"}
        asking = asyncio.create_task(client.post(URL, json={"prompt": "x"}, headers=headers))
        await until(client, "techsapo_inflight_analyses 1.0")
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until(client, "techsapo_inflight_analyses 0.0")
    assert calls(app) == 0


def test_what_is_cancelled_when_the_last_one_leaves_can_be_waited_for() -> None:
    closed: list[str] = []

    async def work(_: Flight[str, str]) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            closed.append("its last line")
        raise AssertionError

    async def main() -> None:
        flight, _ = Flights[str, str]().board("k", work)
        with flight.aboard():
            await asyncio.sleep(0)
        await flight.cancelled()
        assert closed == ["its last line"]

    asyncio.run(main())
