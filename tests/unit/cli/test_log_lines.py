"""Log lines on a terminal, on a pipe, and as JSON: nothing of a line gets out of its place."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.cli.watch.logs import LONGEST, _printer
from techsapo_ops.stack.observed import LogLine

NOON = datetime(2026, 1, 31, 12, 0, 1, 250_000, tzinfo=UTC)
REQUEST = {
    "timestamp": "2026-01-31T12:00:01.250Z", "level": "warn", "message": "Provider failed",
    "instance": "app-1", "requestId": "req_1", "provider": "gpt", "detail": "no answer \"yet\"",
    "seconds": 1.5, "retried": [1, None],
}  # fmt: skip
ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2028]")


class Terminal(StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    yield
    monkeypatch.undo()
    time.tzset()


def printed(
    monkeypatch: pytest.MonkeyPatch, *lines: LogLine, to: type[StringIO] = StringIO, as_json: bool = False
) -> str:
    """What is printed of `lines`."""
    out = to()
    monkeypatch.setattr("sys.stdout", out)
    names = list(dict.fromkeys(line.service for line in lines))
    _printer(names, as_json)(lines)
    return out.getvalue()


def plain(shown: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", shown)


def app(**fields: Any) -> LogLine:
    return LogLine("app-1", json.dumps(REQUEST | fields, ensure_ascii=False), NOON)


def test_on_a_terminal_a_line_has_time_level_service_and_message(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = printed(
        monkeypatch, app(), LogLine("redis", "12:M 31 Jan 2026 12:00:01.250 * Ready", NOON), to=Terminal
    )
    assert plain(shown).splitlines() == [
        "2026-01-31 12:00:01 warn  app-1 Provider failed requestId=req_1 provider=gpt"
        ' detail="no answer \\"yet\\""'
        " seconds=1.5 retried=[1, null]",
        "2026-01-31 12:00:01 info  redis 12:M 31 Jan 2026 12:00:01.250 * Ready",
    ]


def test_a_pipe_gets_the_lines_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    line, other = app(), LogLine("redis", "Ready", NOON)
    assert printed(monkeypatch, line) == f"{line.text}\n"
    assert printed(monkeypatch, line, other) == f"app-1 | {line.text}\nredis | Ready\n"


def test_json_holds_a_line_that_is_json_as_the_object_that_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        app(message="ディスクが一杯です"),
        LogLine("redis", "12:M 31 Jan 2026 12:00:01.250 # Full", NOON),
        LogLine("x", "y"),
    )
    first, second, third = printed(monkeypatch, *lines, as_json=True).splitlines()
    assert "ディスクが一杯です" in first
    assert '\\"' not in first.replace('no answer \\"yet\\"', ""), "it is encoded once"
    assert json.loads(first) == {
        "time": "2026-01-31T12:00:01.250000+00:00", "service": "app-1", "level": "warn",
        "line": REQUEST | {"message": "ディスクが一杯です"}, "text": None,
    }  # fmt: skip
    assert json.loads(second) == {
        "time": "2026-01-31T12:00:01.250000+00:00", "service": "redis", "level": "warn",
        "line": None, "text": "12:M 31 Jan 2026 12:00:01.250 # Full",
    }  # fmt: skip
    assert json.loads(third) == {"time": None, "service": "x", "level": None, "line": None, "text": "y"}


BROKEN = {
    "cut off": '{"level": "info", "message": "half',
    "two objects": '{"a": 1} {"b": 2}',
    "a list": "[1, 2]",
    "NaN": '{"seconds": NaN}',
    "an infinite number": '{"seconds": -Infinity}',
    "a number that has no end": '{"seconds": 1e999}',
    "a number of many digits": '{"n": ' + "9" * 5000 + "}",
    "deep": '{"a":' * 100_000,
    "not UTF-8": '{"a": "\ufffd',
    "empty": "",
}


@each_row("broken", BROKEN)
def test_a_line_that_is_no_json_object_stays_text(monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    line = LogLine("app-1", BROKEN[broken], NOON)
    (told,) = printed(monkeypatch, line, as_json=True).splitlines()
    read = json.loads(told, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert (read["line"], read["text"]) == (None, BROKEN[broken])
    shown = plain(printed(monkeypatch, line, to=Terminal))
    assert shown.startswith(f"2026-01-31 12:00:01       app-1 {BROKEN[broken][:40]}")
    assert shown.count("\n") == 1


def test_a_long_line_is_cut_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = app(detail="あ" * 1_000_000), LogLine("redis", "b" * 1_000_000, NOON)
    shown = plain(printed(monkeypatch, *lines, to=Terminal))
    assert len(shown) < 6 * LONGEST
    assert "(1000000 characters; --json has all)" in shown
    for as_json in (False, True):
        assert len(printed(monkeypatch, *lines, as_json=as_json)) > 2_000_000


HOSTILE = "\x1b]52;c;cm0gLXJm\x07\x1b[2J\r\b\u202e\x9b2J"
FORGED = "\n2026-01-31 12:00:01 error redis forged"


def test_a_line_from_elsewhere_moves_nothing_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        app(**{"message": HOSTILE + FORGED, "detail": HOSTILE + FORGED, HOSTILE + FORGED: HOSTILE}),
        LogLine("redis", f"words {HOSTILE}", NOON),
        app(message={"an": ["object", HOSTILE + FORGED]}),
    )
    shown = plain(printed(monkeypatch, *lines, to=Terminal))
    assert ACTS.findall(shown) == []
    assert shown.count("\n") == 3
    assert not re.search(r"^2026-01-31 12:00:01 error redis", shown, re.MULTILINE)
    assert ACTS.findall(printed(monkeypatch, *lines)) == []
    told = printed(monkeypatch, *lines, as_json=True)
    assert ACTS.findall(told) == []
    assert json.loads(told.splitlines()[0])["line"]["detail"] == HOSTILE + FORGED


def test_a_traceback_stands_below_its_line_and_apart_from_other_lines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trace = 'Traceback (most recent call last):\n  File "x.py"\nValueError: no'
    shown = plain(printed(monkeypatch, app(level="error", exception=trace + FORGED), to=Terminal))
    assert shown.splitlines()[1:] == [
        "    Traceback (most recent call last):", '      File "x.py"', "    ValueError: no",
        "    2026-01-31 12:00:01 error redis forged",
    ]  # fmt: skip
