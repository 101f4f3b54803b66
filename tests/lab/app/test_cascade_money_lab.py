"""What a cascade's calls cost, by audit rows and a real Redis: killed, many at once, handed on."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis as client
from orchestrator import ask, serving, share_key
from servers import Server, redis, wait_for
from spending import PRICED, settings, spent_today, within_a_day
from test_budget_lab import reservations
from vendor_thread import Counting, counting_vendor

pytestmark = pytest.mark.lab

DEAREST_LAST = {
    name: {**each, "price": {"input": 0.0, "output": usd}}
    for (name, each), usd in zip(PRICED.items(), (90.0, 30.0, 10.0), strict=True)
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    within_a_day()
    with redis(tmp_path) as running:
        yield running


def calls(folder: Path) -> dict[str, tuple[float, list[tuple[str, str, str, float]]]]:
    """By request: what its row says that it cost, and its calls: provider, phase, status, USD."""
    rows: list[Any] = []
    with (
        closing(sqlite3.connect(folder / "data" / "audit.sqlite")) as database,
        suppress(sqlite3.OperationalError),  # the app makes its tables beside its first requests
    ):
        rows = database.execute(
            "SELECT request_id, r.cost_usd, provider, phase, c.status, c.cost_usd FROM audit_requests r"
            " JOIN audit_calls c ON c.request_row = r.id WHERE task_type = 'cascade' ORDER BY r.id, c.number"
        ).fetchall()
    return {
        request: (cost, [tuple(call) for of, _, *call in rows if of == request])  # type: ignore[misc]
        for request, cost, *_ in rows
    }


def post(server: Server, key: str) -> httpx.Response:
    body, headers = {"prompt": "the disk is full", "task_type": "cascade"}, {"Idempotency-Key": key}
    url = f"{server.url}/api/v1/generate"
    return httpx.post(url, json=body, headers=headers, timeout=90, trust_env=False)


def given_up(server: Server, key: str) -> None:
    with suppress(httpx.HTTPError):
        post(server, key)


def models(vendor: Counting) -> dict[str, Any]:
    """One that answers, and one whose grades are held back."""
    return {
        name: {
            "kind": "openai-compatible", "model": model, "base_url": vendor.url, "attempts": 1,
            "api_key": "sk-lab-0123456789", "price": {"input": 0, "output": usd}, "max_output_tokens": 1000,
        }
        for name, model, usd in (("cheap", "good", 1.0), ("middle", "held-grades", 3.0))
    }  # fmt: skip


def test_a_cascade_whose_instance_is_killed_goes_on_at_the_check_and_pays_for_the_answer_once(
    server: Server, tmp_path: Path
) -> None:
    share_key(tmp_path / "a", tmp_path / "b")
    with counting_vendor() as vendor:
        sections = {**settings(server.port, daily_usd=10), "providers": models(vendor)}
        with (
            serving(tmp_path / "a", instance="app-1", **sections) as a,
            serving(tmp_path / "b", instance="app-2", **sections) as b,
        ):
            asking = threading.Thread(target=given_up, args=(a, "mango"))
            asking.start()
            wait_for(lambda: vendor.asked("disk")["held-grades grades"] == 1, what="the check under way")
            a.kill()
            asking.join()
            vendor.release()
            told = post(b, "mango")
            assert told.status_code == 200, told.text
            asked = vendor.asked("disk")
            assert (asked["good answers"], asked["held-grades grades"]) == (1, 2), "the check alone is new"
            wait_for(lambda: len(calls(tmp_path / "b")) == 1, what="an audit row")
            ((cost, made),) = calls(tmp_path / "b").values()
            with client.Redis(port=server.port) as link:
                wait_for(lambda: not reservations(link), what="nothing held")
    usd = {status: cost for provider, phase, status, cost in made if (provider, phase) == ("middle", "grade")}
    assert Counter(call[:3] for call in made)["cheap", "answer", "success"] == 1
    assert usd["cut_off"] > usd["success"] > 0, "nobody knows what a vendor bills for a call that was cut off"
    assert cost == pytest.approx(sum(usd for *_, usd in made))
    assert told.json()["cost_usd"] == pytest.approx(cost)


def test_of_many_cascades_at_once_no_more_is_spent_than_the_day_has_and_each_row_says_what_it_cost(
    server: Server, tmp_path: Path
) -> None:
    share_key(tmp_path / "a", tmp_path / "b")
    sections = {**settings(server.port, daily_usd=1, per_request_usd=1), "providers": DEAREST_LAST}

    async def flood(urls: list[str]) -> list[httpx.Response]:
        async with httpx.AsyncClient(trust_env=False, timeout=90) as http:
            return await asyncio.gather(
                *(
                    http.post(
                        f"{urls[n % 2]}/api/v1/generate",
                        json={"prompt": f"disk full: {n}", "task_type": "cascade"},
                    )
                    for n in range(60)
                )
            )

    with (
        serving(tmp_path / "a", instance="app-1", **sections) as a,
        serving(tmp_path / "b", instance="app-2", **sections) as b,
    ):
        told = asyncio.run(flood([a.url, b.url]))
        with client.Redis(port=server.port) as link:
            wait_for(lambda: not reservations(link), what="nothing held")
        spent = spent_today(server)
        answers = {each.headers["X-Request-Id"]: each.json() for each in told if each.status_code == 200}
        wait_for(
            lambda: len({**calls(tmp_path / "a"), **calls(tmp_path / "b")}) >= len(answers), what="audit rows"
        )
        rows = {**calls(tmp_path / "a"), **calls(tmp_path / "b")}
    refused = Counter((each.status_code, each.json().get("code")) for each in told if each.status_code != 200)
    assert answers
    assert refused.keys() <= {(402, "budget_exhausted"), (503, "budget_reserved")}, refused
    assert refused, "there is no room for all of them"
    assert spent <= 1
    assert spent == pytest.approx(sum(cost for cost, _ in rows.values()))
    for request, answer in answers.items():
        cost, made = rows[request]
        assert cost == pytest.approx(answer["cost_usd"]) == pytest.approx(sum(usd for *_, usd in made))
        assert [call[:2] for call in made[:2]] == [("sim-c", "answer"), ("sim-b", "grade")]


def test_a_cascade_that_is_handed_to_the_panel_books_the_calls_of_both_on_one_row(
    server: Server, tmp_path: Path
) -> None:
    wrong = {**DEAREST_LAST, "sim-c": {**DEAREST_LAST["sim-c"], "accuracy": 0}}
    sections = {**settings(server.port, daily_usd=10), "providers": wrong}
    with serving(tmp_path / "a", **sections) as a:
        told = ask(a, "disk full", task_type="cascade").json()
        wait_for(lambda: len(calls(tmp_path / "a")) == 1, what="an audit row")
        spent = spent_today(server)
    ((cost, made),) = calls(tmp_path / "a").values()
    assert told["tier"] == "premium"
    assert [call[:2] for call in made[:2]] == [("sim-c", "answer"), ("sim-b", "grade")]
    assert Counter(call[1] for call in made)["answer"] == 3, "the cheap answer is not asked for again"
    assert cost == pytest.approx(told["cost_usd"]) == pytest.approx(spent)
    assert cost == pytest.approx(sum(usd for *_, usd in made))
