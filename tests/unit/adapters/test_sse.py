"""A peer that sends without end fills no memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rows import each_row

from techsapo_ops.adapters import sse
from techsapo_ops.adapters.sse import Parser, TooLong

LARGEST = 64 * 1024
"""In place of the real limit, as what is sent beyond it takes long."""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LARGEST", LARGEST)


def read(pieces: Iterator[bytes]) -> list[tuple[str, str, str]]:
    parser = Parser()
    return [(name, last, data.decode()) for piece in pieces for name, last, data in parser.feed(piece)]


@each_row("first", [b"data: ", b": ", b"event: ", b"id: "])
def test_a_line_without_an_end_is_refused_before_it_is_read_whole(first: bytes) -> None:
    sent = iter([first, *[b"x" * 1024] * 100])
    with pytest.raises(TooLong):
        read(sent)
    assert len(list(sent)) > 30


def test_an_event_of_many_lines_has_the_same_limit() -> None:
    sent = iter([b"data:ab\n" * 1024] * 100)
    with pytest.raises(TooLong):
        read(sent)
    assert len(list(sent)) > 30


def test_comments_of_a_long_stream_count_to_no_event() -> None:
    kept_alive = (b": waiting\n" * 1024 for _ in range(40))
    pieces = (piece for part in (kept_alive, iter([b"data: x\n\n"])) for piece in part)
    assert read(pieces) == [("message", "", "x")]


@each_row("size", [1, 3, 1000])
@each_row("end", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
def test_events_are_the_same_however_they_come_in_pieces(end: bytes, size: int) -> None:
    lines = (
        "\ufeff: begins", "event: 進捗", "id: 7", "data: one\u2028more", "data:two", "data", "",
        "data: 二", "", "event: none", "", "data: cut off",
    )  # fmt: skip
    text = b"".join(line.encode() + end for line in lines)
    assert read(text[at : at + size] for at in range(0, len(text), size)) == [
        ("進捗", "7", "one\u2028more\ntwo\n"),
        ("message", "7", "二"),
    ]
