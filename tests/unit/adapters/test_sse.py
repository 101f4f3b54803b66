"""A peer that sends without end fills no memory, and costs no more time than what it sends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from rows import each_row

from techsapo_ops.adapters import sse
from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.sse import Event, events

MEGABYTE = 1024**2
SENDS = 32 * MEGABYTE
LARGEST = MEGABYTE // 4
"""In place of the real limit, as what is sent beyond it takes long."""
BUFFERED = 8 * MEGABYTE
"""What both ends of a connection may hold that nobody has read."""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LARGEST", LARGEST)


class Peer:
    """Answers one request with a head, then with what `pieces` gives."""

    def __init__(self, content_type: str, pieces: Iterator[bytes]) -> None:
        self._content_type, self._pieces = content_type, pieces
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        self.sent = 0
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()

    def _answer(self) -> None:
        connection, _ = self._socket.accept()
        with connection, suppress(OSError):
            connection.settimeout(20)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
            connection.recv(65536)
            head = f"HTTP/1.1 200 OK\r\nContent-Type: {self._content_type}\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode())
            for piece in self._pieces:
                connection.sendall(piece)
                self.sent += len(piece)

    def close(self) -> None:
        self._thread.join(20)
        self._socket.close()


@contextmanager
def peer(pieces: Iterator[bytes], content_type: str = "text/event-stream") -> Iterator[Peer]:
    made = Peer(content_type, pieces)
    try:
        yield made
    finally:
        made.close()


def asked(one: Peer) -> list[Event]:
    return list(events(one.url, headers={}, timeout=20))


def endless(piece: bytes, first: bytes = b"") -> Iterator[bytes]:
    yield first
    for _ in range(SENDS // len(piece)):
        yield piece


@each_row("first", [b"data: ", b": ", b"event: ", b"id: "])
def test_a_line_without_an_end_is_refused_before_it_is_read_whole(first: bytes) -> None:
    with peer(endless(b"x" * MEGABYTE, first)) as one, pytest.raises(Unreachable, match="longer than"):
        asked(one)
    assert one.sent < LARGEST + BUFFERED


def test_an_event_of_many_lines_has_the_same_limit() -> None:
    with peer(endless(b"data:ab\n" * 65536)) as one, pytest.raises(Unreachable, match="longer than"):
        asked(one)
    assert one.sent < 3 * LARGEST + BUFFERED


def test_an_answer_that_is_no_stream_is_cut_and_not_read_whole() -> None:
    with peer(endless(b"x" * MEGABYTE), "text/html") as one:
        (event,) = asked(one)
    assert (event.name, len(event.data)) == ("", LARGEST)
    assert one.sent < LARGEST + BUFFERED


def test_comments_of_a_long_stream_count_to_no_event() -> None:
    kept_alive = (b": waiting\n" * 1024 for _ in range(40))
    with peer(piece for part in (kept_alive, iter([b"data: x\n\n"])) for piece in part) as one:
        assert [event.data for event in asked(one)] == ["x"]


@each_row("size", [1, 3, 1000])
@each_row("end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
def test_events_are_the_same_however_they_come_in_pieces(end: bytes, size: int) -> None:
    lines = (
        "\ufeff: begins", "event: 進捗", "id: 7", "data: one\u2028more", "data:two", "data", "",
        "data: 二", "", "event: none", "", "data: cut off",
    )  # fmt: skip
    text = b"".join(line.encode() + end for line in lines)
    with peer(text[at : at + size] for at in range(0, len(text), size)) as one:
        assert asked(one) == [
            Event(200, "進捗", "one\u2028more\ntwo\n", "7"),
            Event(200, "message", "二", "7"),
        ]
