"""What people say of answers, by the API: who may, what is stored, and what nothing does by itself."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from instances import URL, within
from orchestrator import make_spec

from techsapo_ops.serve.app import App
from techsapo_ops.serve.options import Options
from techsapo_ops.stores.keys import KeyFile, new_key

PATH = "/api/v1/feedback"
SECRET = "password=Qx7rRt2vLm9"


def app_at(folder: Path, **audit: str) -> App:
    return App(Options(make_spec(audit=audit), "app-1", folder / "data", mask="secrets"))


async def asked(client: httpx.AsyncClient, **headers: str) -> str:
    """The id of an answer whose row is in the database."""
    answer = await client.post(URL, json={"prompt": f"The disk is full, {SECRET}"}, headers=headers)
    assert answer.status_code == 200
    assert answer.json()["panel"]["outcome"] == answer.json()["outcome"]
    assert answer.json()["checks"][0]["command"] == "df -h"
    return str(answer.json()["request_id"])


async def said(client: httpx.AsyncClient, of: str, label: str, **more: Any) -> httpx.Response:
    """What is answered once the row is in the database, which takes a moment."""
    who = more.pop("who", "aki")
    while True:
        body = {"request_id": of, "label": label, **more}
        answer = await client.post(PATH, json=body, headers={"X-User-Id": who})
        if answer.status_code != 404:
            return answer


def rows(folder: Path) -> list[tuple[Any, ...]]:
    with sqlite3.connect(folder / "data/audit.sqlite") as connection:
        return connection.execute("SELECT who, label, solved, via FROM answer_labels ORDER BY at").fetchall()


def test_changes_of_mind_are_all_stored_and_the_last_word_counts(tmp_path: Path) -> None:
    async def work(client: httpx.AsyncClient) -> dict[str, Any]:
        of = await asked(client)
        first = await said(client, of, "wrong", solved=False)
        assert first.json()["who"] == "aki"
        await said(client, of, "right", solved=True, via="page")
        return dict((await client.get(f"{PATH}/records")).json())

    known = within(app_at(tmp_path), work)
    assert rows(tmp_path) == [("aki", "wrong", 0, "api"), ("aki", "right", 1, "page")]
    assert (known["judged"], known["right"]) == (1, 1)


def test_who_changes_their_mind_too_often_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("techsapo_ops.stores.labels.store.MOST_LABELS", 1)

    async def work(client: httpx.AsyncClient) -> httpx.Response:
        of = await asked(client)
        await said(client, of, "wrong")
        return await said(client, of, "right")

    refused = within(app_at(tmp_path), work)
    assert (refused.status_code, "too often" in refused.text) == (409, True)
    assert rows(tmp_path) == [("aki", "wrong", None, "api")]


def test_reading_labels_nothing_and_shows_what_is_stored_masked_without_confidence(tmp_path: Path) -> None:
    async def work(client: httpx.AsyncClient) -> dict[str, Any]:
        of = await asked(client)
        await said(client, of, "unknown")
        assert (await client.get(f"/feedback?id={of}")).status_code == 200
        return dict((await client.get(f"{PATH}/{of}")).json())

    shown = within(app_at(tmp_path, prompt="masked", answers="masked"), work)
    assert set(shown) == {"request_id", "time", "prompt", "answer"}
    assert shown["prompt"].startswith("The disk is full")
    assert "Qx7rRt2vLm9" not in f"{shown}"
    assert shown["answer"]
    assert len(rows(tmp_path)) == 1


def test_without_a_word_in_the_spec_neither_question_nor_answer_is_stored(tmp_path: Path) -> None:
    async def work(client: httpx.AsyncClient) -> dict[str, Any]:
        of = await asked(client)
        await said(client, of, "unknown")
        return dict((await client.get(f"{PATH}/{of}")).json())

    shown = within(app_at(tmp_path), work)
    assert (shown["prompt"], shown["answer"]) == (None, None)


def test_what_is_no_label_or_of_no_answer_is_refused(tmp_path: Path) -> None:
    async def work(client: httpx.AsyncClient) -> list[int]:
        bodies: list[dict[str, Any]] = [
            {"request_id": "nobody-asked", "label": "right"},
            {"request_id": "../../etc", "label": "right"},
            {"request_id": "r", "label": "great"},
            {"request_id": "r", "label": "right", "who": "somebody else"},
        ]
        return [(await client.post(PATH, json=body)).status_code for body in bodies]

    assert within(app_at(tmp_path), work) == [404, 422, 422, 422]


def test_a_key_that_only_asks_labels_nothing_and_is_refused_before_its_body_is_read(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    keys = [new_key(name, plan="basic", scopes=(name,), now=datetime.now(UTC)) for name in ("ask", "label")]
    file.write(key for key, _ in keys)
    app = App(
        Options(make_spec(app={"auth": {"required": True, "keys_file": str(file.path)}}), "app-1", tmp_path)
    )
    ask, label = ({"Authorization": f"Bearer {shown}"} for _, shown in keys)

    async def work(client: httpx.AsyncClient) -> list[int]:
        told = {"request_id": "r", "label": "right"}
        answers = [
            await client.post(PATH, json={}),
            await client.post(PATH, json={}, headers=ask),
            await client.get(f"{PATH}/r", headers=ask),
            await client.post(PATH, json=told, headers=label),
            await client.get(f"{PATH}/records", headers=ask),
        ]
        return [answer.status_code for answer in answers]

    assert within(app, work) == [401, 403, 403, 404, 200]
