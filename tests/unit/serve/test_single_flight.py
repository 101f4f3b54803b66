from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from orchestrator import QUICK, client_of, make_app
from rows import each_row

from techsapo_ops.serve.app import App
from techsapo_ops.stores.flights import Flight, Flights

URL = "/api/v1/generate"
HELD = {n: {**p, "latency": "30s"} for n, p in QUICK.items()}
UNHURRIED = {n: {**p, "latency": "150ms"} for n, p in QUICK.items()}


def calls(app: App) -> int:
    """Calls to providers that were answered."""
    text = app.metrics.render("")[0].decode()
    lines = [x for x in text.splitlines() if x.startswith("techsapo_llm_requests_total{")]
    return int(sum(float(x.rpartition(" ")[2]) for x in lines if 'status="success"' in x))


def test_a_hundred_identical_questions_cost_one_analysis(tmp_path: Path) -> None:
    app = make_app(tmp_path, providers=UNHURRIED, app={"limits": {"concurrency": 2}})

    async def main() -> list[dict[str, Any]]:
        async with client_of(app) as client:
            asked = [client.post(URL, json={"prompt": "disk full"}) for _ in range(100)]
            return [r.json() for r in await asyncio.gather(*asked)]

    told = asyncio.run(main())
    assert Counter(t["cache"] for t in told) == {"miss": 1, "hit": 99}
    paid = [t["cost_usd"] for t in told if t["cost_usd"]]
    assert len(paid) == 1
    assert calls(app) == 4  # two answers and two gradings
    assert len({t["request_id"] for t in told}) == 100
    assert len({t["answer"] for t in told}) == 1


def test_the_analysis_goes_on_for_the_others_when_the_first_client_goes(tmp_path: Path) -> None:
    app = make_app(tmp_path, providers=UNHURRIED)

    async def main() -> httpx.Response:
        async with client_of(app) as client:
            first = asyncio.create_task(client.post(URL, json={"prompt": "x"}))
            await until(client, "techsapo_inflight_analyses 1.0")
            second = asyncio.create_task(client.post(URL, json={"prompt": "x"}))
            await asyncio.sleep(0.02)
            first.cancel()
            return await second

    assert asyncio.run(main()).status_code == 200


def events_of(text: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def test_a_stream_tells_each_step_and_ends_with_the_verdict(tmp_path: Path) -> None:
    app = make_app(tmp_path)

    async def main() -> tuple[httpx.Response, httpx.Response]:
        async with client_of(app) as client:
            stream = {"Accept": "text/event-stream"}
            told = await client.post(URL, json={"prompt": "disk full"}, headers=stream)
            return told, await client.post(URL, json={"prompt": "disk full"}, headers=stream)

    first, again = asyncio.run(main())
    assert first.headers["content-type"].startswith("text/event-stream")
    assert first.headers["x-accel-buffering"] == "no"
    names = [name for name, _ in events_of(first.text)]
    assert Counter(names) == {
        "asked": 1,
        "answered": 2,
        "grading": 1,
        "graded": 2,
        "settled": 1,
        "verdict": 1,
    }
    assert (names[0], names[3], names[-2:]) == ("asked", "grading", ["settled", "verdict"])
    told = dict(events_of(first.text))
    assert told["asked"]["providers"] == told["grading"]["providers"] == ["sim-a", "sim-b"]
    assert told["settled"]["confidence"] == told["verdict"]["confidence"]
    graded = next(e for name, e in events_of(first.text) if name == "graded")
    assert 0 <= graded["grades"][0]["grade"] <= 1
    ((name, verdict),) = events_of(again.text)
    assert (name, verdict["cache"], verdict["cost_usd"]) == ("verdict", "hit", 0)


def test_a_problem_before_the_first_event_is_the_http_answer_and_a_later_one_an_event(tmp_path: Path) -> None:
    stream = {"Accept": "text/event-stream"}

    def post(app: App, prompt: str) -> httpx.Response:
        async def main() -> httpx.Response:
            async with client_of(app) as client:
                return await client.post(URL, json={"prompt": prompt}, headers=stream)

        return asyncio.run(main())

    poor = make_app(tmp_path / "a", budget={"monthly_usd": 0.0000001, "count_simulated": True})
    refused = post(poor, "x")
    assert (refused.status_code, refused.json()["code"]) == (402, "budget_exhausted")
    down = {n: {**p, "error_rate": 1} for n, p in QUICK.items()}
    told = events_of(post(make_app(tmp_path / "b", providers=down), "x").text)
    assert told[0][0] == "asked"
    assert {event["provider"] for name, event in told if name == "failed"} == set(QUICK)
    assert (told[-1][0], told[-1][1]["code"]) == ("problem", "providers_failed")


@each_row("path", [URL, "/api/v1/analyze-logs"])
def test_an_idempotency_key_gets_the_same_answer_once_paid(tmp_path: Path, path: str) -> None:
    # In the language of the log: an answer in another one is asked for again.
    app = make_app(tmp_path, providers=UNHURRIED, wallbounce={"cache_ttl": "0s", "language": "auto"})
    body = {"prompt": "disk full"} if path == URL else {"error_output": "No space left on device"}
    other = {**body, "task_type": "premium"}

    async def main() -> tuple[list[httpx.Response], httpx.Response]:
        async with client_of(app) as client:
            key = {"Idempotency-Key": "k-1"}
            both = [client.post(path, json=body, headers=key) for _ in range(2)]
            told = [*await asyncio.gather(*both), await client.post(path, json=body, headers=key)]
            return told, await client.post(path, json=other, headers=key)

    told, reused = asyncio.run(main())
    assert len({r.text for r in told}) == 1
    assert [r.headers.get("idempotency-replayed") for r in told] == [None, "true", "true"]
    assert calls(app) == 4
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency_key_reused")


def test_another_body_with_a_key_that_is_under_way_is_refused_at_once(tmp_path: Path) -> None:
    app = make_app(tmp_path, providers=HELD)

    async def main() -> httpx.Response:
        async with client_of(app) as client:
            key = {"Idempotency-Key": "k-1"}
            first = asyncio.create_task(client.post(URL, json={"prompt": "x"}, headers=key))
            await until(client, "techsapo_inflight_analyses 1.0")
            refused = await client.post(URL, json={"prompt": "y"}, headers=key)
            assert not first.done()
            first.cancel()
            return refused

    refused = asyncio.run(main())
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")


def test_a_repeated_stream_gets_its_verdict_again_and_is_paid_once(tmp_path: Path) -> None:
    app = make_app(tmp_path, providers=UNHURRIED, wallbounce={"cache_ttl": "0s"})
    headers = {"Idempotency-Key": "k-1", "Accept": "text/event-stream"}

    async def main() -> tuple[list[httpx.Response], httpx.Response, httpx.Response]:
        async with client_of(app) as client:
            body = {"prompt": "disk full"}
            both = [client.post(URL, json=body, headers=headers) for _ in range(2)]
            told = [*await asyncio.gather(*both), await client.post(URL, json=body, headers=headers)]
            plain = await client.post(URL, json=body, headers={"Idempotency-Key": "k-1"})
            return told, plain, await client.post(URL, json={"prompt": "other"}, headers=headers)

    told, plain, reused = asyncio.run(main())
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

    async def main() -> list[httpx.Response]:
        async with client_of(app) as client:
            headers = {"Idempotency-Key": "k-1"}
            return [await client.post("/v1/chat/completions", json=body, headers=headers) for _ in range(2)]

    first, again = asyncio.run(main())
    assert first.text.count('"techsapo"') == again.text.count('"techsapo"') == 1
    assert again.headers["idempotency-replayed"] == "true"
    assert calls(app) == 4


async def until(client: httpx.AsyncClient, line: str) -> None:
    """Wait until /metrics has `line`."""
    for _ in range(500):
        if line in (await client.get("/metrics")).text:
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"/metrics never said {line}")


def test_the_work_ends_when_the_last_reader_of_a_stream_goes(tmp_path: Path) -> None:
    app = make_app(tmp_path, providers=HELD)

    async def main() -> None:
        async with client_of(app) as client:
            headers = {"Idempotency-Key": "k-1", "Accept": "text/event-stream"}
            asking = asyncio.create_task(client.post(URL, json={"prompt": "x"}, headers=headers))
            await until(client, "techsapo_inflight_analyses 1.0")
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await until(client, "techsapo_inflight_analyses 0.0")

    asyncio.run(main())
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
