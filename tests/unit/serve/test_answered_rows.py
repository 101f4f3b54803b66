from __future__ import annotations

import asyncio
from concurrent.futures import Future
from pathlib import Path

import httpx
import pytest
from instances import within
from orchestrator import client_of, make_app
from rows import each_row

from techsapo_ops.serve.answers import audit_trail
from techsapo_ops.serve.app import App
from techsapo_ops.stores.audit.spool import AuditRow

URL = "/api/v1/generate"
STREAM = {"Accept": "text/event-stream"}


def held_back(app: App, monkeypatch: pytest.MonkeyPatch) -> list[Future[bool]]:
    futures: list[Future[bool]] = []

    def put(_row: AuditRow) -> Future[bool]:
        futures.append(Future())
        return futures[-1]

    monkeypatch.setattr(app.audit, "put", put)
    return futures


async def some(futures: list[Future[bool]]) -> None:
    async with asyncio.timeout(60):
        while not futures:  # noqa: ASYNC110 - a row has no event for it
            await asyncio.sleep(0.01)


@each_row("headers", [{}, STREAM])
def test_no_answer_is_given_before_its_row_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    app = make_app(tmp_path)

    async def work(client: httpx.AsyncClient) -> httpx.Response:
        futures = held_back(app, monkeypatch)
        asked = asyncio.create_task(client.post(URL, json={"prompt": "502"}, headers=headers))
        await some(futures)
        done, _ = await asyncio.wait([asked], timeout=0.05)
        assert not done
        futures[0].set_result(True)
        return await asked

    answer = within(app, work)
    assert answer.status_code == 200
    assert "confidence" in answer.text


async def test_an_answer_whose_row_no_disk_takes_is_held_back_and_costs_nothing_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(tmp_path)
    async with client_of(app) as client:
        with monkeypatch.context() as patch:
            futures = held_back(app, patch)
            asked = asyncio.create_task(client.post(URL, json={"prompt": "502"}))
            await some(futures)
            futures[0].set_result(False)
            refused = await asked
        again = await client.post(URL, json={"prompt": "502"})
    assert (refused.status_code, refused.json()["code"]) == (503, "audit_unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    assert (again.status_code, again.json()["cache"]) == (200, "hit")


async def test_a_disk_that_hangs_holds_an_answer_back_for_a_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(tmp_path)
    monkeypatch.setattr(audit_trail, "STORED_WITHIN", 0.05)
    async with client_of(app) as client:
        with monkeypatch.context() as patch:
            held_back(app, patch)
            refused = await client.post(URL, json={"prompt": "502"})
    assert refused.json()["code"] == "audit_unavailable"
