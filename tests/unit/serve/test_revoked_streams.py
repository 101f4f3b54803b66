"""Streams end when their key does."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from orchestrator import make_app
from rows import each_row
from test_metrics_stream import Wire

from techsapo_ops.serve.http.broadcast import Broadcast
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.http.responses import EventStream, Put
from techsapo_ops.serve.metrics.stream import SSE_PATH
from techsapo_ops.stores.keys import KeyFile, KeyRing, Scope, new_key
from techsapo_ops.wallbounce.providers.simulated import Simulated

NOW = datetime.now(UTC)
GENERATE, CHAT = "/api/v1/generate", "/v1/chat/completions"
ASKED: dict[str, dict[str, Any]] = {
    GENERATE: {"prompt": "502"},
    CHAT: {"model": "techsapo-basic", "stream": True, "messages": [{"role": "user", "content": "502"}]},
}
GONE = Problem(401, "unauthorized", "that API key was revoked")


async def streamed(first: bytes | None, monkeypatch: pytest.MonkeyPatch) -> tuple[int, bytes]:
    """Status and body of a stream that says `first` and works on, until its key is revoked."""
    monkeypatch.setattr("techsapo_ops.serve.http.responses.KEY_CHECK", 0.01)
    sent: list[dict[str, Any]] = []
    cancelled = False

    def body() -> bytes:
        return b"".join(message.get("body", b"") for message in sent)

    async def receive() -> None:
        await asyncio.Event().wait()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def work(put: Put) -> None:
        nonlocal cancelled
        if first is not None:
            put(first)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled = True
            raise
        put(b"too late")

    def barred() -> Problem | None:
        return GONE if first is None or first in body() else None

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "state": {}}
    await asyncio.wait_for(EventStream(work, barred)(scope, receive, send), 5)
    assert cancelled, "nobody pays for it any more"
    return sent[0]["status"], body()


async def test_a_streamed_analysis_ends_with_its_key_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, body = await streamed(b"event: answered\ndata: {}\n\n", monkeypatch)
    last = body.decode().split("\n\n")[-2].splitlines()
    assert last[0] == "event: problem"
    told = json.loads(last[1].removeprefix("data: "))
    assert (told["status"], told["code"]) == (401, "unauthorized")


async def test_before_its_first_event_the_answer_itself_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    status, body = await streamed(None, monkeypatch)
    assert (status, json.loads(body)["code"]) == (401, "unauthorized")


def test_the_metrics_streams_of_one_key_end_and_no_others() -> None:
    broadcast = Broadcast()
    with (
        broadcast.subscribe(None, "one") as first,
        broadcast.subscribe(None, "two") as second,
        broadcast.subscribe() as free,
    ):
        broadcast.bar(lambda key: "revoked" if key == "one" else "")
        assert [subscriber.over for subscriber in (first, second, free)] == [True, False, False]
        assert (first.barred, second.barred) == ("revoked", "")


def test_who_does_not_read_why_it_ended_is_cut_off() -> None:
    broadcast, wire = Broadcast(), Wire()
    with broadcast.subscribe(wire, "one"):
        broadcast.bar(lambda _: "revoked")
        assert not wire.cut
        broadcast.bar(lambda _: "revoked")
        assert wire.cut


@each_row("ends", ["revoked", "expired", "unknown", None])
def test_a_key_that_was_accepted_is_looked_at_again(
    tmp_path: Path, ends: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("techsapo_ops.stores.keys.CHECK_EVERY", 0)
    file = KeyFile(tmp_path / "keys.json")
    key, shown = new_key("page", plan="basic", scopes=("monitor",), now=NOW)
    file.write((key,))
    ring = KeyRing(file)
    assert ring.check(shown, "monitor").id == key.id
    if ends == "revoked":
        file.change(file.revocation("page", NOW))
    elif ends == "expired":
        file.write((replace(key, expires=NOW - timedelta(seconds=1)),))
    elif ends == "unknown":
        file.write(())
    assert ring.refusal(key.id, "monitor") == ends


@each_row("path, scope", [(GENERATE, "ask"), (CHAT, "ask"), (SSE_PATH, "monitor")])
def test_an_open_stream_of_an_instance_ends_once_its_key_is_revoked(
    tmp_path: Path, path: str, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (
        "serve.http.responses.KEY_CHECK",
        "serve.metrics.stream.KEY_CHECK",
        "stores.keys.CHECK_EVERY",
    ):
        monkeypatch.setattr(f"techsapo_ops.{place}", 0.01)
    file = KeyFile(tmp_path / "api-keys.json")
    key, shown = new_key("page", plan="basic", scopes=(scope,), now=NOW)
    file.write((key,))
    app = make_app(tmp_path, app={"auth": {"required": True}})

    async def main() -> str:
        begun = asyncio.Event()

        async def hang(_self: Simulated, _ask: Any) -> Any:
            begun.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(Simulated, "call", hang)
        transport = httpx.ASGITransport(app.asgi, client=("1.2.3.4", 4711))
        headers = {"Authorization": f"Bearer {shown}", "Accept": "text/event-stream"}
        async with (
            app.asgi.router.lifespan_context(app.asgi),
            httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as client,
        ):
            method, body = ("GET", None) if scope == "monitor" else ("POST", ASKED[path])
            stream = asyncio.create_task(client.request(method, path, json=body))
            if scope == "ask":
                await begun.wait()
            done, _ = await asyncio.wait({stream}, timeout=0.1)
            assert not done, "while its key is good it goes on"
            file.change(file.revocation("page", NOW))
            return (await asyncio.wait_for(stream, 5)).text

    assert "that API key was revoked" in asyncio.run(main())
