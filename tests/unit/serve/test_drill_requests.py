"""A drill's requests go the way of all others, and are counted nowhere else."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import httpx
import pytest
from instances import within
from orchestrator import client_of, make_spec
from rows import each_row

from techsapo_ops.serve.app import App
from techsapo_ops.serve.options import Options
from techsapo_ops.stores.app_key import DRILL_HEADER, DrillSeal

KEY = b"the app's"
PATH = "/api/v1/drill"
JSON = {"Content-Type": "application/json"}


def made(directory: Path) -> App:
    return App(Options(make_spec(), "app-1", directory / "data", app_key=KEY))


def proven(
    name: str, method: str = "POST", path: str = PATH, key: bytes = KEY, body: bytes = b""
) -> dict[str, str]:
    return {"X-Request-ID": name, DRILL_HEADER: DrillSeal(key).proof(method, path, name, body)}


async def post(
    client: httpx.AsyncClient, name: str, body: Any, path: str = PATH, **headers: str
) -> httpx.Response:
    """What a drill sends as `name`, with `headers` in place of its own."""
    sent = json.dumps(body).encode()
    own = {**proven(name, path=path, body=sent), "Idempotency-Key": name, **JSON}
    return await client.post(path, content=sent, headers={**own, **headers})


async def counted(client: httpx.AsyncClient) -> Mapping[str, float]:
    """Every series that is not 0, but for what the process itself measures of time."""
    lines = [line.rpartition(" ") for line in (await client.get("/metrics")).text.splitlines()]
    return {name: float(value) for name, _, value in lines if name[0] != "#" and float(value)}


def rows(directory: Path) -> list[tuple[str, str, str, float]]:
    with sqlite3.connect(directory / "data" / "audit.sqlite") as database:
        return database.execute(
            "SELECT request_id, task_type, status, cost_usd FROM audit_requests"
        ).fetchall()


async def test_one_is_carried_out_once_whatever_number_of_times_it_is_sent(tmp_path: Path) -> None:
    async with client_of(made(tmp_path)) as client:
        answers = [await post(client, "drill-1-1", {"seconds": 0}) for _ in range(3)]
    said = [answer.json() for answer in answers]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert len({each["execution"] for each in said}) == 1
    assert said[0]["instance"] == "app-1"
    assert rows(tmp_path) == [("drill-1-1", "drill", "drill", 0)]


async def test_who_can_not_prove_to_be_a_drill_is_refused_and_counted_as_anybody(tmp_path: Path) -> None:
    async with client_of(made(tmp_path)) as client:
        strange = await client.post(PATH, json={}, headers=proven("drill-1-1", key=b"another"))
        borrowed = await client.post(PATH, json={}, headers={**proven("drill-1-1"), "X-Request-ID": "other"})
        none = await client.get(PATH)
        series = await counted(client)
    assert {answer.status_code for answer in (strange, borrowed, none)} == {401}
    assert series[f'techsapo_http_requests_total{{method="POST",route="{PATH}",status="401"}}'] == 2
    assert series['techsapo_errors_total{code="unauthorized"}'] == 3
    assert not [name for name in series if name.startswith("techsapo_drill")]
    assert rows(tmp_path) == []


async def test_a_drill_gets_no_answer_to_a_question(tmp_path: Path) -> None:
    async with client_of(made(tmp_path)) as client:
        refused = await post(client, "drill-1-1", {"prompt": "hello"})
        longer = await post(client, "drill-1-2", {"seconds": 3600})
    assert (refused.status_code, longer.status_code) == (422, 422)
    assert rows(tmp_path) == []


async def test_what_is_overheard_can_not_become_another_request(tmp_path: Path) -> None:
    alert = "/api/v1/drill/alert"
    async with client_of(made(tmp_path)) as client:
        none = b'{"seconds": 0}'
        heard = {**proven("drill-1-1", body=none), **JSON}
        again = [
            await client.post(PATH, content=body, headers={**heard, **key})
            for body, key in (
                (none, {}),
                (none, {"Idempotency-Key": "another"}),
                (b'{"seconds": 30}', {"Idempotency-Key": "drill-1-1"}),
                (b" " * 1000, {"Idempotency-Key": "drill-1-1"}),
            )
        ]
        ending = {**proven("drill-1-2", path=alert, body=none), **JSON}
        fired = await client.post(alert, content=b'{"seconds": 1800}', headers=ending)
        ended = await client.post(alert, content=none, headers=ending)
    assert {answer.status_code for answer in again} == {401}
    assert (fired.status_code, ended.status_code) == (401, 200)
    assert rows(tmp_path) == []


@each_row("kept, status", [(True, 200), (False, 503)])
def test_it_is_answered_only_once_its_row_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool, status: int
) -> None:
    app, row = made(tmp_path), Future[bool]()

    async def work(client: httpx.AsyncClient) -> int:
        with monkeypatch.context() as patch:
            patch.setattr(app.audit, "put", lambda _: row)
            asked = asyncio.create_task(post(client, "drill-1-1", {"seconds": 0}))
            done, _ = await asyncio.wait([asked], timeout=0.05)
            assert not done
            row.set_result(kept)
            return (await asked).status_code

    assert within(app, work) == status
