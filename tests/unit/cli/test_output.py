"""How tables look where the terminal is narrow, and talk wherever it is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from types import MappingProxyType

import pytest
from rich.console import Console
from rich.text import Text
from rows import each_row

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
