"""Streams of answers: headers before any provider has answered, heartbeats, and problems at any time."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from orchestrator import QUICK, make_app
from rows import each_row
from starlette.types import Message, Scope

from techsapo_ops.serve.app import App
from techsapo_ops.serve.http import responses
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.http.responses import EventStream

ENDLESS = {n: {**p, "latency": "50s"} for n, p in QUICK.items()}
CHAT = {"model": "techsapo-basic", "messages": [{"role": "user", "content": "x"}], "stream": True}
PATIENCE = 10
"""Seconds within which a test gives up: nothing in it takes a tenth of that."""


class Client:
    """Asks an ASGI app, and takes what it sends as it sends it; goes away at the end of the block."""

    def __init__(self, app: Any, scope: Scope, content: bytes) -> None:
        self._sent: asyncio.Queue[Message] = asyncio.Queue()
        self._gone = asyncio.Event()
        self._content: bytes | None = content
        self._task = asyncio.create_task(app(scope, self._receive, self._sent.put))

    async def _receive(self) -> Message:
        if self._content is not None:
            content, self._content = self._content, None
            return {"type": "http.request", "body": content, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def next(self) -> Message:
        """What is sent next."""
        return await asyncio.wait_for(self._sent.get(), PATIENCE)

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._gone.set()
        await asyncio.wait_for(self._task, PATIENCE)


def post(app: App, path: str, body: dict[str, Any]) -> Client:
    content = json.dumps(body).encode()
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    headers += [(b"accept", b"text/event-stream"), (b"content-length", str(len(content)).encode())]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST",
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": headers, "client": ("127.0.0.1", 1), "server": ("localhost", 80),
    }  # fmt: skip
    return Client(app.asgi, scope, content)


@each_row(
    "path, body, first",
    [
        ("/api/v1/generate", {"prompt": "x"}, b"event: asked\n"),
        ("/api/v1/analyze-logs", {"error_output": "x"}, b"event: asked\n"),
        ("/v1/chat/completions", CHAT, b": asked\n\n"),
    ],
)
def test_headers_and_the_first_step_come_before_any_provider_answers(
    tmp_path: Path, path: str, body: dict[str, Any], first: bytes
) -> None:
    app = make_app(tmp_path, providers=ENDLESS)

    async def main() -> list[Message]:
        async with app.asgi.router.lifespan_context(app.asgi), post(app, path, body) as client:
            return [await client.next(), await client.next()]

    start, event = asyncio.run(main())
    headers = dict(start["headers"])
    assert start["status"] == 200
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert headers[b"x-accel-buffering"] == b"no"
    assert event["body"].startswith(first)


@each_row("path", ["/api/v1/generate", "/v1/chat/completions"])
def test_who_joins_an_analysis_under_way_is_told_what_happened_at_once(tmp_path: Path, path: str) -> None:
    app = make_app(tmp_path, providers=ENDLESS)
    body = CHAT if path.startswith("/v1") else {"prompt": "x"}

    async def main() -> tuple[Message, Message]:
        async with app.asgi.router.lifespan_context(app.asgi), post(app, path, body) as first:
            await first.next()
            async with post(app, path, body) as second:
                return await second.next(), await second.next()

    start, event = asyncio.run(main())
    assert (start["status"], b"asked" in event["body"]) == (200, True)


async def silent(_put: responses.Put) -> None:
    await asyncio.Event().wait()


async def late(_put: responses.Put) -> None:
    await asyncio.sleep(0.05)
    raise Problem(503, "budget_reserved", "later", retry_after=1.5)


async def served(work: Any, messages: int) -> list[Message]:
    async with Client(EventStream(work), {"type": "http", "path": "/x"}, b"") as client:
        return [await client.next() for _ in range(messages)]


async def test_headers_do_not_wait_for_ever_and_silence_is_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "BEGIN_WITHIN", 0.01)
    monkeypatch.setattr(responses, "HEARTBEAT", 0.01)
    start, *beats = await served(silent, 4)
    assert start["status"] == 200
    assert [beat["body"] for beat in beats] == [b": still at work\n\n"] * 3


async def test_a_problem_after_the_headers_is_an_event_with_the_same_document(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (refused, content) = await served(late, 2)
    assert refused["status"] == 503, "before the headers it is the answer itself"
    monkeypatch.setattr(responses, "BEGIN_WITHIN", 0.01)
    told = await served(late, 4)
    event = next(m["body"] for m in told if m.get("body", b"").startswith(b"event: problem\n"))
    assert json.loads(event.split(b"data: ")[1]) == json.loads(content["body"])
    assert json.loads(content["body"])["retry_after"] == 2


async def test_a_question_that_is_refused_has_the_status_of_its_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responses, "BEGIN_WITHIN", PATIENCE)  # on a busy machine headers would come first
    app = make_app(tmp_path, budget={"monthly_usd": 0.0000001, "count_simulated": True}, providers=ENDLESS)
    async with app.asgi.router.lifespan_context(app.asgi):
        for path, body in (("/api/v1/generate", {"prompt": "x"}), ("/v1/chat/completions", CHAT)):
            async with post(app, path, body) as client:
                assert (await client.next())["status"] == 402
