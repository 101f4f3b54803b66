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


class Wire(asyncio.Transport):
    """A connection that keeps each write, can be cut, and tells when it ends."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.ended = asyncio.Event()
        self.aborted = False

    @property
    def said(self) -> bytes:
        return b"".join(self.writes)

    def write(self, data: Any) -> None:
        assert not self.ended.is_set(), "written after it was closed"
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.ended.set()

    def abort(self) -> None:
        self.aborted = True
        self.close()

    def is_closing(self) -> bool:
        return self.ended.is_set()

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


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


def connected(application: Application, **settings: Any) -> tuple[HttpProtocol, Wire]:
    config = uvicorn.Config(application, http=HttpProtocol, lifespan="off", log_config=None, **settings)
    config.load()
    protocol = HttpProtocol(config, ServerState(), app_state={})
    connection = Wire()
    protocol.connection_made(connection)
    return protocol, connection


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_head_and_body_leave_in_one_write() -> None:
    async def scenario() -> list[bytes]:
        protocol, connection = connected(answering(200, b"pong\n"))
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
        protocol, connection = connected(answering(200, b"one", b"two", wait=event, length=False))
        protocol.data_received(GET)
        await turns()
        before = connection.said
        event.set()
        await turns()
        return before, connection.said

    before, whole = asyncio.run(scenario())
    assert before.endswith(b"transfer-encoding: chunked\r\n\r\n")
    assert whole == before + b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


def test_an_answer_without_a_body_leaves_before_the_connection_is_closed() -> None:
    async def scenario() -> Wire:
        protocol, connection = connected(answering(204, length=False))
        protocol.data_received(GET)
        await turns(1)
        protocol.shutdown()
        await turns()
        return connection

    connection = asyncio.run(scenario())
    assert connection.is_closing()
    assert connection.said.startswith(b"HTTP/1.1 204 ")
