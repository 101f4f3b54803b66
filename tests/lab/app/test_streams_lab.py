"""The metrics stream of a running app: events, WebSocket, nginx, keys, slow peers, the end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from api_keys import NEEDED, keys_of, make_key
from event_streams import Event, events
from fronts import nginx_before
from orchestrator import ask, log_lines, serving
from servers import Server, free_port, wait_for
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from techsapo_ops.serve.http.broadcast import Broadcast
from techsapo_ops.serve.http.transports import HttpProtocol, WebSocketProtocol
from techsapo_ops.serve.metrics.stream import ServerSentEvents
from techsapo_ops.stores.keys import KeyFile

pytestmark = pytest.mark.lab

PATH = "/api/v1/metrics/stream"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("app")) as server:
        yield server


def take(url: str, count: int, **headers: str) -> list[Event]:
    stream = events(f"{url}{PATH}", headers=headers, timeout=60)
    return [event for event, _ in zip(stream, range(count), strict=False)]


def number(event: Event) -> int:
    return int(event.id.partition("-")[2])


def metrics(event: Event) -> dict[str, Any]:
    message = json.loads(event.data)
    assert message["type"] == "metrics"
    return dict(message["data"]["metrics"])


def test_the_stream_tells_the_guides_metrics_and_follows_what_is_asked(app: Server) -> None:
    before = metrics(take(app.url, 1)[0])
    assert ask(app, "the disk of db-1 is full").status_code == 200
    first, second = take(app.url, 2)[-2:]
    assert number(second) == number(first) + 1
    now = metrics(second)
    assert now["techsapo_wallbounce_requests_total"] == before["techsapo_wallbounce_requests_total"] + 1
    assert now["techsapo_wallbounce_success_rate"] == 1.0
    assert 0 < now["techsapo_wallbounce_avg_confidence_5m"] <= 1
    assert set(now["techsapo_provider_cost_usd"]) == {"sim-a", "sim-b", "sim-c"}
    assert now["techsapo_http_p95_response_time"] > 0, "the stream itself takes no part in response times"


def test_a_client_that_comes_back_is_given_what_it_missed(app: Server) -> None:
    (first,) = take(app.url, 1)
    wait_for(lambda: number(take(app.url, 1)[0]) >= number(first) + 2, what="two more")
    again = take(app.url, 2, **{"Last-Event-ID": first.id})
    assert [number(event) for event in again] == [number(first) + 1, number(first) + 2]


def test_the_websocket_has_the_same_payload(app: Server) -> None:
    with connect(f"ws://127.0.0.1:{app.port}/ws/metrics", compression="deflate", proxy=None) as client:
        assert "Sec-WebSocket-Extensions" not in client.response.headers
        assert client.response.headers["X-Request-ID"].startswith("req_")
        told = [json.loads(client.recv(timeout=60)) for _ in range(2)]
    event = json.loads(take(app.url, 1)[0].data)
    assert told[1]["data"]["time"] > told[0]["data"]["time"]
    assert event["data"].keys() == told[1]["data"].keys()
    wait_for(
        lambda: any(line.get("route") == "/ws/metrics" for line in log_lines(app)), what="the access log"
    )


def test_pages_from_elsewhere_may_not_open_a_websocket(app: Server) -> None:
    own = f"http://127.0.0.1:{app.port}"
    with connect(f"ws://127.0.0.1:{app.port}/ws/metrics", origin=own, proxy=None) as client:  # type: ignore[arg-type]
        assert client.recv(timeout=60)
    with pytest.raises(InvalidStatus) as refused:
        connect(f"ws://127.0.0.1:{app.port}/ws/metrics", origin="http://evil.example", proxy=None)  # type: ignore[arg-type]
    assert refused.value.response.status_code == 403


def test_where_keys_are_on_the_stream_needs_one_from_outside(tmp_path: Path) -> None:
    with serving(tmp_path / "app", **NEEDED) as app, nginx_before(tmp_path, app.port) as edge:
        asking = make_key(keys_of(app), "asking")
        watching = make_key(keys_of(app), "watching", "monitor")
        assert json.loads(take(app.url, 1)[0].data)["type"] == "metrics", "directly from this host"
        assert take(edge.url, 1)[0].status == 401
        assert take(edge.url, 1, Authorization=f"Bearer {asking}")[0].status == 403
        wait_for(
            lambda: take(edge.url, 1, Authorization=f"Bearer {watching}")[0].status == 200, what="key known"
        )
        url = f"ws://127.0.0.1:{edge.port}/ws/metrics"
        with pytest.raises(InvalidStatus) as refused:
            connect(url, proxy=None)
        assert refused.value.response.status_code == 401
        wanted = ["techsapo", f"key.{watching}"]
        with connect(url, subprotocols=wanted, proxy=None) as client:  # type: ignore[arg-type]
            assert client.subprotocol == "techsapo"
            assert client.recv(timeout=60)
        assert watching not in app.log() + (tmp_path / "nginx" / "access.log").read_text()


def revoked(app: Server, name: str) -> float:
    """Revoke the key of that name, as the command does, and tell when."""
    file = KeyFile(keys_of(app))
    file.change(file.revocation(name, datetime.now(UTC)))
    return time.monotonic()


def test_a_revoked_keys_streams_end_within_seconds_and_say_why(tmp_path: Path) -> None:
    with serving(tmp_path / "app", **NEEDED) as app, nginx_before(tmp_path, app.port) as edge:
        keys = {name: make_key(keys_of(app), name, "monitor") for name in ("gone", "stays")}
        headers = {name: {"Authorization": f"Bearer {key}"} for name, key in keys.items()}
        wait_for(lambda: take(edge.url, 1, **headers["stays"])[0].status == 200, what="keys known")
        going = events(f"{edge.url}{PATH}", headers=headers["gone"], timeout=60)
        staying = events(f"{edge.url}{PATH}", headers=headers["stays"], timeout=60)
        assert [next(stream).status for stream in (going, staying)] == [200, 200]
        url, wanted = f"ws://127.0.0.1:{edge.port}/ws/metrics", ["techsapo", f"key.{keys['gone']}"]
        with connect(url, subprotocols=wanted, proxy=None) as client:  # type: ignore[arg-type]
            client.recv(timeout=60)
            since = revoked(app, "gone")
            told = list(going)
            with pytest.raises(ConnectionClosed) as closed:
                deque(iter(partial(client.recv, timeout=60), None), maxlen=0)
        assert time.monotonic() - since < 60, "stated: 2 s"
        assert told[-1].name == "problem"
        assert json.loads(told[-1].data)["detail"] == "that API key was revoked"
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "that API key was revoked")
        assert number(next(staying)) > 0, "the other key's goes on"


def test_a_stopping_instance_ends_its_streams_and_takes_no_new_ones(tmp_path: Path) -> None:
    with serving(tmp_path, app={"drain": "2s"}) as app:
        stream = events(f"{app.url}{PATH}", headers={}, timeout=60)
        next(stream)
        with connect(f"ws://127.0.0.1:{app.port}/ws/metrics", proxy=None) as client:
            client.recv(timeout=60)
            os.kill(app.process.pid, signal.SIGTERM)
            told = time.monotonic()
            assert len(list(stream)) <= 1, "it ended, and without an error"
            with pytest.raises(ConnectionClosed) as closed:
                deque(iter(partial(client.recv, timeout=60), None), maxlen=0)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
            assert httpx.get(f"{app.url}{PATH}", trust_env=False, timeout=60).status_code == 503
            app.process.wait(timeout=60)
            assert time.monotonic() - told < 60
            assert app.process.returncode == 0
    assert [line for line in log_lines(app) if line["level"] == "error"] == []


async def served(app: Any, talk: Callable[[int], Awaitable[None]], **settings: Any) -> None:
    """Serve `app` as the product does, on this event loop, while `talk` speaks to its port."""
    port = free_port()
    config = uvicorn.Config(
        app,
        port=port,
        http=HttpProtocol,
        ws=WebSocketProtocol,
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
        **settings,
    )
    server = uvicorn.Server(config)
    serve = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        async with asyncio.timeout(60):
            await talk(port)
    finally:
        server.should_exit = True
        await serve


class Open:
    """A gate that lets everybody in."""

    async def admit_monitor(self, _: object) -> None:
        return None


def test_a_client_that_does_not_read_is_cut_off_and_holds_up_nobody() -> None:
    broadcast = Broadcast()
    payload = json.dumps({"padding": "x" * 4000})

    async def talk(port: int) -> None:
        slow = socket.socket()
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        slow.connect(("127.0.0.1", port))
        slow.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while len(broadcast) < 2:  # noqa: ASYNC110 - both are subscribed
            await asyncio.sleep(0.01)
        sent = 0
        while len(broadcast) > 1:
            assert sent < 50, "the slow one is still there"
            await broadcast.publish(payload)
            sent += 1
            await asyncio.wait_for(reader.readuntil(f"id: {broadcast.name}-{sent}\n".encode()), 5)
            await asyncio.sleep(0.02)
        with slow:
            slow.settimeout(5)
            told = 0
            while part := slow.recv(65536):
                told += len(part)
        assert told < sent * len(payload), "what it did not read was not kept for it"
        broadcast.close()
        writer.close()

    gate: Any = Open()
    asyncio.run(served(ServerSentEvents(broadcast, gate), talk))
