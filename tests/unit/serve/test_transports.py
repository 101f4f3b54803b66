"""Answers in one piece: what a killed instance has begun, nginx can't ask of another one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from techsapo_ops.serve.transports import HttpProtocol

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


class Recorded(asyncio.Transport):
    """A connection that keeps each write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        assert not self.closed, "written after it was closed"
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def answering(
    status: int, *parts: bytes, wait: asyncio.Event | None = None, length: bool = True
) -> Application:
    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        size = [(b"content-length", str(sum(map(len, parts))).encode())] if length else []
        await send({"type": "http.response.start", "status": status, "headers": size})
        if wait is not None:
            await wait.wait()
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return application


async def connected(application: Application) -> tuple[HttpProtocol, Recorded]:
    app: Any = application
    config = uvicorn.Config(app, http=HttpProtocol, lifespan="off", log_config=None, access_log=False)
    config.load()
    protocol = HttpProtocol(config, ServerState(), app_state={})
    connection = Recorded()
    protocol.connection_made(connection)
    return protocol, connection


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_head_and_body_leave_in_one_write() -> None:
    async def scenario() -> list[bytes]:
        protocol, connection = await connected(answering(200, b"pong\n"))
        protocol.data_received(GET)
        await turns()
        return connection.writes

    first, *rest = asyncio.run(scenario())
    assert first.startswith(b"HTTP/1.1 200 ")
    assert first.endswith(b"\r\n\r\npong\n")
    assert b"".join(rest) == b""


def test_the_head_of_a_stream_does_not_wait_for_its_first_event() -> None:
    async def scenario() -> tuple[bytes, bytes]:
        event = asyncio.Event()
        protocol, connection = await connected(answering(200, b"one", b"two", wait=event, length=False))
        protocol.data_received(GET)
        await turns()
        before = b"".join(connection.writes)
        event.set()
        await turns()
        return before, b"".join(connection.writes)

    before, whole = asyncio.run(scenario())
    assert before.endswith(b"transfer-encoding: chunked\r\n\r\n")
    assert whole == before + b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


def test_an_answer_without_a_body_leaves_before_the_connection_is_closed() -> None:
    async def scenario() -> Recorded:
        protocol, connection = await connected(answering(204, length=False))
        protocol.data_received(GET)
        await turns(1)
        protocol.shutdown()
        await turns()
        return connection

    connection = asyncio.run(scenario())
    assert connection.closed
    assert b"".join(connection.writes).startswith(b"HTTP/1.1 204 ")
