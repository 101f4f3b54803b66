from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from orchestrator import client_of, make_spec

from techsapo_ops.serve.app import App
from techsapo_ops.serve.http import middleware
from techsapo_ops.serve.options import Options
from techsapo_ops.stack.maintenance import ALONE, PAGE, PROBLEM

TOLD = {"status": 503, "code": "maintenance", "detail": "down for maintenance: new disk"}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request looks."""
    monkeypatch.setattr(middleware, "CHECK_EVERY", 0.0)


def app_in(directory: Path) -> App:
    return App(Options(make_spec(), "app-1", directory / "data", maintenance=directory))


async def test_without_nginx_the_app_itself_turns_users_away_and_counts_nothing(tmp_path: Path) -> None:
    app = app_in(tmp_path)
    async with client_of(app) as client:

        async def ask(accept: str = "*/*") -> httpx.Response:
            return await client.post("/api/v1/generate", json={"prompt": "x"}, headers={"Accept": accept})

        assert (await ask()).status_code == 200
        before = app.metrics.render("")[0]
        (tmp_path / PAGE).write_text("<h1>later</h1>")
        (tmp_path / PROBLEM).write_text(json.dumps(TOLD))
        (tmp_path / ALONE).touch()
        told = await ask()
        assert (told.status_code, told.headers["retry-after"], told.json()) == (503, "120", TOLD)
        assert told.headers["content-type"] == "application/problem+json"
        assert (await ask("text/html")).text == "<h1>later</h1>"
        counted = [line for line in app.metrics.render("")[0].splitlines() if b"generate" in line]
        assert counted == [line for line in before.splitlines() if b"generate" in line]
        assert (await client.get("/ping")).status_code == 200
        status = (await client.get("/api/v1/status")).json()
        assert status["maintenance"]["detail"] == TOLD["detail"]
        (tmp_path / PROBLEM).unlink()
        assert (await ask()).status_code == 200


async def test_a_websocket_is_closed_with_a_word_to_come_again_and_files_are_looked_for_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    came, sent = [], []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        came.append(scope["path"])

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError

    front, scope = middleware.Closed(app, tmp_path), {"type": "websocket", "path": "/ws", "headers": []}
    monkeypatch.setattr(middleware, "CHECK_EVERY", 3600.0)
    front._looked = -3600.0
    await front(scope, receive, send)
    for name in (PROBLEM, ALONE):
        (tmp_path / name).touch()
    await front(scope, receive, send)
    monkeypatch.setattr(middleware, "CHECK_EVERY", 0.0)
    await front(scope, receive, send)
    assert came == ["/ws", "/ws"]
    assert sent == [{"type": "websocket.close", "code": 1013, "reason": "maintenance"}]
