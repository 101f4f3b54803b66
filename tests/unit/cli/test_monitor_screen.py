"""The screen of `monit`: what is drawn fits any terminal, and what a key does."""

from __future__ import annotations

import os
import pty
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.cells import cell_len
from rows import each_row

from techsapo_ops.cli.keyboard import DOWN, END, ENTER, ESCAPE, UP, Keyboard, decoded
from techsapo_ops.cli.views.monitor import Board, drawn
from techsapo_ops.operations.watch.usage import Reading
from techsapo_ops.stack.observed import LogLine

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def reading(name: str, state: str = "running") -> Reading:
    return Reading(name, state, 4242, NOON, 3, 12.5, 95_000_000, 1.5)


NAMES = ("redis", "app-1", "app-2", "prometheus-redis-exporter", "nginx")
LINES = (
    LogLine("redis", "plain", NOON),
    LogLine("redis", "障害の監視が始まりました。" * 9, NOON),
    LogLine("redis", '{"message": "一\\n二", "level": "error", "exception": "Trace\\n  back"}', NOON),
    LogLine("redis", "\x1b[2J\x1b]0;title\x07 hostile \u202e\ttab", None),
)
BOARD = Board().with_readings(tuple(map(reading, NAMES)))
BOARDS = {
    "table": BOARD,
    "log": replace(BOARD, log=True, lines=LINES),
    "empty log": replace(BOARD, log=True),
    "asked": replace(BOARD, asked="app-1"),
    "help": replace(BOARD, help=True),
    "told": replace(BOARD, told="app-1 did not become ready\nmore", grave=True),
    "nothing": Board(),
    "hosts": Board().with_readings(tuple(replace(reading(f"redis-{host}"), host=host) for host in "abc")),
    "wide names": Board().with_readings((reading("障害の監視" * 12),)),
}


def texts(board: Board, width: int = 100, height: int = 24) -> list[str]:
    return [line.plain for line in drawn(board, width, height)]


@each_row("name", BOARDS)
@each_row("width", [1, 2, 7, 20, 41, 80, 200])
@each_row("height", [1, 2, 3, 5, 8, 24, 100])
def test_it_fits_any_terminal(name: str, width: int, height: int) -> None:
    lines = texts(BOARDS[name], width, height)
    assert len(lines) == height
    assert max(map(cell_len, lines)) <= width
    assert not any(character < " " or character in "\x7f\u202e" for line in lines for character in line)


def test_a_narrow_terminal_goes_without_the_least_telling_columns() -> None:
    assert texts(BOARD)[0].split() == [
        "SERVICE", "STATE", "PID", "CPU", "MEMORY", "RESTARTS", "UPTIME", "REQ/S",
    ]  # fmt: skip
    assert texts(BOARD, 60)[0].split() == ["SERVICE", "STATE", "CPU", "MEMORY"]
    assert texts(BOARD, 30)[0].split() == ["SERVICE"]
    assert any("prometheus-redis-exporter" in line for line in texts(BOARD, 30))


def test_the_chosen_service_is_always_in_sight() -> None:
    board = Board().with_readings(tuple(reading(f"app-{n}") for n in range(40)))
    for step in (0, 17, 22, 100, -100):
        board = board.moved(step)
        for log in (False, True):
            lines = texts(replace(board, log=log, lines=LINES), 80, 10)
            (marked,) = [line for line in lines if line.startswith("> ")]
            assert marked.split()[1] == board.chosen


def test_the_log_has_the_rest_of_the_screen_and_its_newest_lines() -> None:
    many = tuple(LogLine("redis", f"line {n}", NOON) for n in range(300))
    lines = texts(replace(BOARD, log=True, lines=many), 80, 24)
    title = next(n for n, line in enumerate(lines) if "log of redis" in line)
    assert title == 1 + len(NAMES)
    assert lines[-2].endswith("line 299")
    assert len([line for line in lines if "line 2" in line]) == 24 - title - 2


def test_the_choice_holds_its_service_and_moves_on_from_one_that_is_gone() -> None:
    board = BOARD.moved(1)
    assert board.chosen == "app-1"
    assert board.with_readings(tuple(map(reading, NAMES[1:]))).chosen == "app-1"
    assert board.with_readings((reading("redis"), reading("nginx"))).chosen == "nginx"
    assert board.with_readings(()).chosen == "app-1", "it may come again"
    assert Board().moved(1) == Board()


@each_row(
    "sent, keys",
    [
        (b"j", ["j"]),
        (b"\x1b[A\x1bOB", [UP, DOWN]),
        (b"\x1b", [ESCAPE]),
        (b"\x1b\x1b[B", [ESCAPE, DOWN]),
        (b"\x1b[1;5Cq", ["q"]),
        (b"\x1b[200~", []),
        (b"\x1b[", []),
        (b"\x1b[Fjl\r", [END, "j", "l", ENTER]),
        ("あ\x1b[Aい".encode(), ["あ", UP, "い"]),
        (b"\xff\xfeq", ["q"]),
        (b"\xe3\x81", []),
        (b"\x00\x01\x7f", []),
        (b"", []),
    ],
)
def test_keys_of_what_a_terminal_sends(sent: bytes, keys: Sequence[str]) -> None:
    assert decoded(sent) == list(keys)


def test_where_stdin_is_no_terminal_there_are_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        with Keyboard() as keys:
            assert not keys.there
            keys.wake()
            assert keys.keys(None) == []


def test_a_terminal_that_is_hung_up_is_read_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    parent, child = pty.openpty()
    with os.fdopen(child) as terminal, Keyboard() as keys:
        monkeypatch.setattr(keys, "_input", terminal.fileno())
        os.write(parent, b"jk\n")
        assert keys.keys(60)[:2] == ["j", "k"]
        os.close(parent)
        assert keys.keys(60) == []
        assert not keys.there


def test_of_several_hosts_each_service_has_its_own_beside_it() -> None:
    head, *rows = texts(BOARDS["hosts"])[:4]
    assert head.split()[:3] == ["SERVICE", "HOST", "STATE"]
    assert [row.lstrip("> ").split()[:2] for row in rows] == [[f"redis-{host}", host] for host in "abc"]
    assert "HOST" not in texts(BOARD)[0]
