"""What a connection may send and how long it may take, before there is a request and after its answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import uvicorn
from rows import each_row
from test_transports import Application, Recorded, answering, turns
from uvicorn.server import ServerState

from techsapo_ops.serve.crowd import Crowd
from techsapo_ops.serve.door import PIPELINED, Door
from techsapo_ops.serve.problems import Problem
from techsapo_ops.serve.transports import HttpProtocol
from techsapo_ops.spec.models.app import Limits

POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


class Wire(Recorded):
    """A connection that can be half closed and cut, and tells when it ends."""

    def __init__(self, peer: str = "192.0.2.1") -> None:
        super().__init__()
        self.ended = asyncio.Event()
        self.aborted = False
        self._peer = peer

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (self._peer, 4711) if name == "peername" else default

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended.set()

    def close(self) -> None:
        super().close()
        self.ended.set()

    def abort(self) -> None:
        self.aborted = True
        self.close()

    @property
    def said(self) -> bytes:
        return b"".join(self.writes)

    def problem(self) -> dict[str, Any]:
        head, _, body = self.said.partition(b"\r\n\r\n")
        assert b"connection: close" in head.lower()
        return dict(json.loads(body))


def opened(door: Door, application: Application | None = None, **wire: str) -> tuple[HttpProtocol, Wire]:
    app: Any = application or answering(200, b"pong\n")
    config = uvicorn.Config(app, http=HttpProtocol, lifespan="off", log_config=None, access_log=False)
    config.load()
    protocol = HttpProtocol(config, ServerState(), app_state={}, door=door)
    connection = Wire(**wire)
    protocol.connection_made(connection)
    return protocol, connection


@each_row(
    "begins, goes_on",
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ", b"a" * 1000),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-Many: a\r\n" * 100),
        (b"GET /", b"a" * 1000),
        (b"", b"\r\n" * 500),
    ],
    ids=["one long header", "many headers", "a long address", "empty lines"],
)
def test_a_head_that_is_too_large_is_refused_long_before_its_end(begins: bytes, goes_on: bytes) -> None:
    async def main() -> tuple[int, Wire]:
        protocol, wire = opened(Door(head_bytes=8000))
        protocol.data_received(begins)
        sent = 0
        while not wire.ended.is_set():
            protocol.data_received(goes_on)
            sent += len(goes_on)
            assert sent < 100_000, "it is still read"
        protocol.data_received(goes_on)  # what still comes is let go
        protocol.connection_lost(None)
        return sent, wire

    sent, wire = asyncio.run(main())
    assert sent < 10_000
    assert (wire.problem()["status"], wire.problem()["code"]) == (431, "headers_too_large")


def test_a_head_that_is_too_large_in_one_piece_reaches_no_application() -> None:
    async def main() -> Wire:
        protocol, wire = opened(Door(head_bytes=8000))
        protocol.data_received(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 9000 + b"\r\n\r\n")
        await turns()
        protocol.connection_lost(None)
        return wire

    assert asyncio.run(main()).said.startswith(b"HTTP/1.1 431 ")


def test_a_head_within_the_bound_is_answered_whatever_its_pieces() -> None:
    async def main() -> Wire:
        protocol, wire = opened(Door(head_bytes=8000))
        for _ in range(3):
            for byte in b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 5000 + b"\r\n\r\n":
                protocol.data_received(bytes([byte]))
            await turns()
        protocol.connection_lost(None)
        return wire

    assert asyncio.run(main()).said.count(b"pong\n") == 3


def test_headers_that_come_too_slowly_are_refused_and_a_silent_connection_is_closed() -> None:
    async def main() -> tuple[Wire, Wire]:
        slow, silent = opened(Door(head_seconds=0.01)), opened(Door(head_seconds=0.01))
        slow[0].data_received(b"GET / HT")
        for protocol, wire in (slow, silent):
            await asyncio.wait_for(wire.ended.wait(), 5)
            protocol.connection_lost(None)
        return slow[1], silent[1]

    slow, silent = asyncio.run(main())
    assert (slow.problem()["status"], slow.problem()["code"]) == (408, "timeout")
    assert silent.said == b"", "nobody has asked anything"


def test_a_kept_connection_has_the_time_for_headers_from_their_first_byte_on() -> None:
    async def main() -> bytes:
        protocol, wire = opened(Door(head_seconds=0.01))
        protocol.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await turns()
        assert not wire.closed
        protocol.data_received(b"GET / HT")
        await asyncio.wait_for(wire.ended.wait(), 5)
        protocol.connection_lost(None)
        return wire.said

    said = asyncio.run(main())
    assert said.index(b"pong") < said.index(b"HTTP/1.1 408 ")


def test_the_next_head_may_wait_for_the_answer_under_way() -> None:
    async def main() -> Wire:
        ready = asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            await ready.wait()
            await answering(200, b"pong\n")(scope, receive, send)

        protocol, wire = opened(Door(head_seconds=0.01), slow)
        protocol.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT")
        silent, other = opened(Door(head_seconds=0.01))
        await asyncio.wait_for(other.ended.wait(), 5)  # by then the first one's time were over, too
        silent.connection_lost(None)
        ready.set()
        await turns()
        protocol.data_received(b"TP/1.1\r\nHost: x\r\n\r\n")
        await turns()
        protocol.connection_lost(None)
        return wire

    assert asyncio.run(main()).said.count(b"pong\n") == 2


@each_row("unread", [POST, CHUNKED + b"5\r\nhello\r\n"])
def test_a_body_that_nobody_reads_and_that_never_ends_is_cut_off(unread: bytes) -> None:
    async def main() -> Wire:
        protocol, wire = opened(Door(body_seconds=0.01))
        protocol.data_received(unread)
        await asyncio.wait_for(wire.ended.wait(), 5)
        protocol.connection_lost(None)
        return wire

    wire = asyncio.run(main())
    assert wire.aborted
    assert wire.said.endswith(b"pong\n"), "the answer was given"


def test_of_a_body_that_comes_after_its_answer_no_more_is_read_than_a_body_may_have() -> None:
    async def main() -> tuple[int, int]:
        protocol, wire = opened(Door(max_body=20_000))
        protocol.data_received(POST)
        await turns()
        sent = 0
        while not wire.closed:
            protocol.data_received(b"x" * 1000)
            sent += 1000
        kept = len(protocol.cycle.body)
        protocol.connection_lost(None)
        return sent, kept

    sent, kept = asyncio.run(main())
    assert 20_000 < sent <= 21_000
    assert kept == 0


def test_headers_after_the_body_are_no_headers_of_the_request() -> None:
    seen: list[list[tuple[bytes, bytes]]] = []

    async def looking(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        seen.append(list(scope["headers"]))
        await answering(200, b"pong\n")(scope, receive, send)

    async def main() -> None:
        protocol, _ = opened(Door(), looking)
        protocol.data_received(CHUNKED + b"1\r\nx\r\n0\r\nX-API-Key: stolen\r\n\r\n")
        await turns()
        protocol.connection_lost(None)

    asyncio.run(main())
    assert [name for name, _ in seen[0]] == [b"host", b"transfer-encoding"]


def test_who_sends_ahead_too_far_is_cut_off() -> None:
    async def main() -> Wire:
        protocol, wire = opened(Door())
        protocol.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * (PIPELINED + 2))
        await turns()
        protocol.connection_lost(None)
        return wire

    assert asyncio.run(main()).aborted


def test_what_is_not_http_is_told_so_and_counted() -> None:
    refused: list[tuple[str, str]] = []

    async def main() -> Wire:
        protocol, wire = opened(Door(refused=lambda *told: refused.append(told)))
        protocol.data_received(b"\x16\x03\x01\x02\x00\x01")
        protocol.connection_lost(None)
        return wire

    assert asyncio.run(main()).problem()["code"] == "malformed_request"
    assert refused == [("malformed_request", "192.0.2.1")]


@each_row(
    "limits, peers, codes",
    [
        ({"client_connections": 2}, ["192.0.2.1"] * 3, [None, None, (429, "too_many_connections")]),
        ({"client_connections": 2}, ["192.0.2.1", "192.0.2.2"] * 2, [None] * 4),
        ({"client_connections": 2}, ["127.0.0.1"] * 4, [None] * 4),
    ],
    ids=["one client", "several clients", "a proxy that is believed"],
)
def test_connections_are_bounded_in_all_and_by_client(
    limits: dict[str, int], peers: list[str], codes: list[tuple[int, str] | None]
) -> None:
    crowd = Crowd(Limits.model_validate(limits), lambda peer: peer == "127.0.0.1")

    async def main() -> list[tuple[int, str] | None]:
        door, told = Door(crowd), []
        links = [opened(door, peer=peer) for peer in peers]
        for _, wire in links:
            told.append((wire.problem()["status"], wire.problem()["code"]) if wire.said else None)
        for protocol, _ in links:
            protocol.connection_lost(None)
        assert door.lingering == 0
        return told

    assert asyncio.run(main()) == codes
    assert crowd.open() == (0, 0, 0), "who has gone is forgotten"


def test_connections_are_bounded_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("techsapo_ops.serve.crowd.CONNECTIONS", 2)
    crowd = Crowd(Limits())
    for n in range(2):
        crowd.connected(f"192.0.2.{n}")
    with pytest.raises(Problem) as refused:
        crowd.connected("192.0.2.3")
    assert (refused.value.status, refused.value.code) == (503, "overloaded")


@each_row("endless", [b"0\r\nX-Trailer: " + b"a" * 1000, b"5;extension=" + b"a" * 1000])
def test_what_follows_a_body_or_stands_in_the_head_of_a_chunk_has_an_end(endless: bytes) -> None:
    async def main() -> None:
        protocol, wire = opened(Door(head_bytes=8000))
        protocol.data_received(CHUNKED)
        await turns()
        protocol.data_received(endless)
        for _ in range(200):
            protocol.data_received(b"a" * 1000)
        assert wire.aborted or b"431" in wire.said

    asyncio.run(main())


def test_a_long_body_in_small_chunks_is_no_trailer() -> None:
    async def main() -> None:
        protocol, wire = opened(Door(head_bytes=8000))
        protocol.data_received(CHUNKED)
        for _ in range(300):
            protocol.data_received(b"3e8\r\n" + b"a" * 1000 + b"\r\n")
        assert not wire.aborted
        assert b"431" not in wire.said

    asyncio.run(main())
