"""What a connection may send and how long it may take; answers leave in one piece."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from rows import each_row
from uvicorn.server import ServerState

from techsapo_ops.serve.http import transports
from techsapo_ops.serve.http.transports import HttpProtocol

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


async def test_head_and_body_leave_in_one_write() -> None:
    protocol, connection = connected(answering(200, b"pong\n"))
    protocol.data_received(GET)
    await turns()
    first, *rest = connection.writes
    assert first.startswith(b"HTTP/1.1 200 ")
    assert first.endswith(b"\r\n\r\npong\n")
    assert b"".join(rest) == b""


async def test_the_head_of_a_stream_does_not_wait_for_its_first_event() -> None:
    event = asyncio.Event()
    protocol, connection = connected(answering(200, b"one", b"two", wait=event, length=False))
    protocol.data_received(GET)
    await turns()
    before = connection.said
    event.set()
    await turns()
    assert before.endswith(b"transfer-encoding: chunked\r\n\r\n")
    assert connection.said == before + b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


async def test_an_answer_without_a_body_leaves_before_the_connection_is_closed() -> None:
    protocol, connection = connected(answering(204, length=False))
    protocol.data_received(GET)
    await turns(1)
    protocol.shutdown()
    await turns()
    assert connection.is_closing()
    assert connection.said.startswith(b"HTTP/1.1 204 ")


POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(autouse=True)
def small_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "HEAD_BYTES", 8000)


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "REQUEST_SECONDS", 0.01)


PONG = answering(200, b"pong\n")


@each_row(
    "begins, goes_on",
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ", b"a" * 1000),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-Many: a\r\n" * 100),
        (b"GET /", b"a" * 1000),
        (b"", b"\r\n" * 500),
        (CHUNKED + b"0\r\nX-Trailer: ", b"a" * 1000),
        (CHUNKED + b"5;extension=", b"a" * 1000),
    ],
    ids=["one header", "many headers", "a long address", "empty lines", "a trailer", "a chunk's extension"],
)
def test_what_is_no_body_and_does_not_end_is_refused(begins: bytes, goes_on: bytes) -> None:
    async def main() -> int:
        protocol, wire = connected(PONG)
        protocol.data_received(begins)
        sent = 0
        while not wire.ended.is_set():
            protocol.data_received(goes_on)
            sent += len(goes_on)
            assert sent < 100_000, "it is still read"
        assert wire.aborted or wire.said.startswith(b"HTTP/1.1 400 ")
        protocol.connection_lost(None)
        return sent

    assert asyncio.run(main()) < 10_000


async def test_a_head_within_the_bound_is_answered_whatever_its_pieces() -> None:
    protocol, wire = connected(PONG)
    for _ in range(3):
        for byte in b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 5000 + b"\r\n\r\n":
            protocol.data_received(bytes([byte]))
        await turns()
    protocol.connection_lost(None)
    assert wire.said.count(b"pong\n") == 3


@pytest.mark.usefixtures("no_patience")
@each_row("begins", [b"", b"GET / HT", b"\r\n", POST, CHUNKED + b"5\r\nhello\r\n", GET + b"GET / HT"])
def test_a_request_that_does_not_come_to_its_end_in_time_is_cut_off(begins: bytes) -> None:
    async def main() -> Wire:
        protocol, wire = connected(PONG)
        if begins:
            protocol.data_received(begins)
        await asyncio.wait_for(wire.ended.wait(), 5)
        protocol.connection_lost(None)
        return wire

    wire = asyncio.run(main())
    assert wire.aborted
    answered = begins.startswith((b"POST", GET))
    assert wire.said.endswith(b"pong\n") == answered, "an answer that needs no body is given"


@pytest.mark.usefixtures("no_patience")
@each_row("ahead", [b"", b"GET / HT", GET + b"GET / HT"])
def test_neither_an_answer_nor_what_waits_for_it_is_bounded_by_that(ahead: bytes) -> None:
    async def main() -> Wire:
        ready = asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            await ready.wait()
            await PONG(scope, receive, send)

        protocol, wire = connected(slow)
        protocol.data_received(GET + ahead)
        await asyncio.sleep(0.05)
        assert not wire.aborted
        ready.set()
        await turns()
        protocol.connection_lost(None)
        return wire

    assert b"pong\n" in asyncio.run(main()).said


async def test_of_a_body_that_nobody_read_nothing_is_kept() -> None:
    protocol, _ = connected(PONG)
    protocol.data_received(POST + b"x" * 50_000)
    await turns()
    kept = len(protocol.cycle.body)
    protocol.connection_lost(None)
    assert kept == 0


def test_headers_after_the_body_are_no_headers_of_the_request() -> None:
    seen: list[list[tuple[bytes, bytes]]] = []

    async def looking(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        seen.append(list(scope["headers"]))
        await PONG(scope, receive, send)

    async def main() -> None:
        protocol, _ = connected(looking)
        protocol.data_received(CHUNKED + b"1\r\nx\r\n0\r\nX-API-Key: stolen\r\n\r\n")
        await turns()
        protocol.connection_lost(None)

    asyncio.run(main())
    assert [name for name, _ in seen[0]] == [b"host", b"transfer-encoding"]


async def test_what_is_not_http_is_told_so_and_never_in_the_middle_of_an_answer() -> None:
    async def slow(_scope: Any, _receive: Any, _send: Any) -> None:
        await asyncio.sleep(60)

    other, first = connected(PONG)
    other.data_received(b"\x16\x03\x01\x02\x00\x01")
    other.connection_lost(None)
    protocol, second = connected(slow)
    protocol.data_received(GET + b"\x16\x03\x01")
    protocol.connection_lost(None)
    assert first.said.startswith(b"HTTP/1.1 400 ")
    assert second.aborted
    assert second.said == b""


async def test_beyond_so_many_connections_a_request_is_answered_503() -> None:
    protocol, wire = connected(PONG, limit_concurrency=1)  # this connection is one
    protocol.data_received(GET)
    await turns()
    protocol.connection_lost(None)
    assert wire.said.startswith(b"HTTP/1.1 503 ")


async def test_a_long_body_in_small_chunks_is_no_trailer() -> None:
    protocol, wire = connected(PONG)
    protocol.data_received(CHUNKED)
    for _ in range(300):
        protocol.data_received(b"3e8\r\n" + b"a" * 1000 + b"\r\n")
    assert not wire.ended.is_set()
