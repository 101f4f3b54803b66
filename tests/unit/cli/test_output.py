"""How tables look where the terminal has no room for them, and talk wherever it is read."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from queue import SimpleQueue
from types import MappingProxyType, SimpleNamespace

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text
from rows import each_row

from techsapo_ops.adapters.line_breaks import wrapped
from techsapo_ops.cli import language, output
from techsapo_ops.cli.output import Output, console, document, make_table
from techsapo_ops.spec.secret import Secret


@each_row("name", ["prometheus-redis-exporter", "20261126T051342Z", "障害の監視"])
def test_a_name_is_never_broken_over_two_lines(name: str) -> None:
    """It is copied into the next command."""
    shown = StringIO()
    build = "0.2.0+d162b56e4a.9ab617 " * 3
    Console(file=shown, width=60).print(make_table(("NAME", "STATE", "BUILD"), [(name, "running", build)]))
    lines = shown.getvalue().splitlines()[1:]
    assert lines[0].startswith(f"{name} ")
    folded = "".join(lines).replace(name, "").replace("running", "").replace("BUILD:", "")
    assert "".join(folded.split()) == "".join(build.split()), "the rest is folded, not cut"


class Pieces(StringIO):
    """A stream that notes each write."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def write(self, text: str) -> int:
        self.pieces.append(text)
        return super().write(text)


def test_a_line_is_written_in_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources of a backup tell of themselves from threads; without a terminal, their lines ran together."""
    stream = Pieces()
    monkeypatch.setattr("sys.stderr", stream)
    out = Output()
    out.say("redis 3 keys")
    out.warn("careful")
    out.next("techsapo up")
    assert stream.pieces == ["redis 3 keys\n", "warning: careful\n", "next: techsapo up\n"]


class Terminal(StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@each_row(
    "variables",
    [
        {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
        {"TERM": "xterm", "NO_COLOR": "1"},
        {"TERM": "dumb"},
        {"TERM": "dumb", "FORCE_COLOR": "1"},
        {"TERM": "xterm", "FORCE_COLOR": "1", "NO_COLOR": "1"},
    ],
)
@each_row("stream", [StringIO, Terminal])
@each_row("text", ["run `up`", "spec[0]: [bold]\\[x]", "a\ttab\nand a line", "日本語 " * 80])
def test_talk_looks_as_rich_would_print_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], stream: type[StringIO], text: str
) -> None:
    """`ps` says a line or two and must not import rich for them."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    said, expected = stream(), stream()
    monkeypatch.setattr("sys.stderr", said)
    Output().warn(text)
    Output().next(text)
    monkeypatch.setattr("sys.stderr", expected)
    for word, style in (("warning:", "yellow"), ("next:", "dim")):
        console(stderr=True).print(Text.assemble((word, style), f" {text}"), soft_wrap=True)
    assert said.getvalue() == expected.getvalue()


@dataclass(frozen=True, slots=True)
class Seen:
    """Something with one field of each sort."""

    name: str
    at: datetime
    password: Secret
    file: Path
    labels: object
    of: object = None


def test_json_of_a_dataclass_has_its_fields_and_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    inner = Seen("b", at, Secret("s3cret"), Path("x"), MappingProxyType({"a": 1}))
    Output(as_json=True).json({"found": [Seen("a", at, Secret("s3cret"), Path("y"), (1,), inner)]})
    shown = capsys.readouterr().out
    (found,) = json.loads(shown)["found"]
    assert found["of"] == {
        "name": "b", "at": "2026-01-31T12:00:00+00:00", "password": "********", "file": "x",
        "labels": {"a": 1}, "of": None,
    }  # fmt: skip
    assert found["labels"] == [1]
    assert "s3cret" not in shown
    assert "file" not in document(inner, "file")


PS = ("SERVICE", "STATE", "PID", "PORT", "UPTIME", "RESTARTS", "USER", "BUILD")
RUNS = [
    ("app-1", "running", 5836, 4000, "25s", 0, "techsapo", "0.2.0+c43d578132.590e31"),
    ("blackbox-exporter", "running", 6065, 9115, "11s", 0, "prometheus", "-"),
]


def drawn(columns: tuple[str, ...], rows: list[tuple[object, ...]], width: int, *right: str) -> list[str]:
    shown = StringIO()
    Console(file=shown, width=width).print(make_table(columns, rows, right=right))
    return shown.getvalue().splitlines()


def test_what_has_no_room_stands_below_its_row_and_no_word_is_cut() -> None:
    assert drawn(PS, RUNS, 80, "PID", "PORT", "UPTIME", "RESTARTS") == [
        "SERVICE             STATE      PID   PORT   UPTIME   RESTARTS   USER",
        "app-1               running   5836   4000      25s          0   techsapo",
        "    BUILD: 0.2.0+c43d578132.590e31",
        "blackbox-exporter   running   6065   9115      11s          0   prometheus",
    ]


@each_row("width", range(30, 130, 7))
def test_nothing_is_lost_and_nothing_is_wider_than_the_terminal(width: int) -> None:
    summary = "prometheus の設定（prometheus/rules/recording.yml）が変わりました"
    rows: list[tuple[object, ...]] = [
        ("ConfigChanged", "firing", "info", "P2", "2026-11-27 10:51:33 UTC", "", summary),
        ("BackupVerificationFailed", "quiet", "critical", "P1", "", "", ""),
    ]
    shown = drawn(("ALERT", "STATE", "SEVERITY", "PRIORITY", "SINCE", "ACKNOWLEDGED", "SUMMARY"), rows, width)
    assert max(map(cell_len, shown)) <= width
    together = "".join("".join(shown).split())
    for word in ("ConfigChanged", "firing", "critical", "10:51:33", "prometheus/rules/recording.yml"):
        assert word in together or width < 60, (word, shown)
    assert not any(line != line.rstrip() for line in shown)


def test_states_are_words_for_people_and_names_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "_spoken", "ja")
    shown = drawn(("SERVICE", "STATE", "USER"), [("app-1", "running", "running"), ("x", "odd", "-")], 80)
    assert [line.split() for line in shown[1:]] == [["app-1", "稼働中", "running"], ["x", "odd", "-"]]


@each_row(
    "text, width, lines",
    [
        ("Grafana を入れ、`techsapo up` を実行", 20, ["Grafana を入れ、", "`techsapo up` を実行"]),
        ("設定を読み直しました。", 20, ["設定を読み直しまし", "た。"]),
        ("設定（prometheus.yml）が変わった", 8, ["設定", "（promet", "heus.yml", "）が変", "わった"]),
        ("one two  three", 7, ["one two", "three"]),
        ("a/long/path/to/somewhere", 12, ["a/long/path/", "to/somewhere"]),
        ("", 5, [""]),
        ("first\nsecond", 20, ["first", "second"]),
    ],
)  # fmt: skip
def test_lines_are_broken_where_a_reader_expects_it(text: str, width: int, lines: list[str]) -> None:
    assert list(wrapped(text, width)) == lines


class _Heard(Output):
    """Hands on what is said."""

    def __init__(self) -> None:
        super().__init__()
        self.said: SimpleQueue[str] = SimpleQueue()

    def say(self, text: str) -> None:
        self.said.put(text)


def test_what_takes_long_is_told_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(output, "_BUSY_SECONDS", 0.0)
    out = _Heard()
    with out.busy("never on a pipe"):
        pass
    monkeypatch.setattr("sys.stderr", SimpleNamespace(isatty=lambda: True))
    with out.busy("waiting"):
        assert out.said.get(timeout=60) == "waiting"
    monkeypatch.setattr(output, "_BUSY_SECONDS", 3600.0)
    before = threading.active_count()
    with out.busy("never where the plan is shown first") as told:
        told()
        while threading.active_count() > before:  # the one that would tell has ended
            pass
    assert out.said.empty()
