"""Whatever it comes from, nothing that a terminal takes for orders is printed; our own colours are."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from in_process import techsapo
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text
from rows import each_row

import techsapo_ops.cli
from techsapo_ops.adapters.terminal import harmless, harmless_json
from techsapo_ops.cli import main, output
from techsapo_ops.cli.app.answer_view import show_answer, show_triage
from techsapo_ops.cli.output import Output, console, print_error, write, write_json
from techsapo_ops.errors import OpsError

HOSTILE = {
    "an escape": "\x1b[2J\x1b]52;c;cm0gLXJm\x07",
    "an eight-bit escape": "\x9b2J\x9d0;title\x9c",
    "a link": "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "a carriage return": "rm -rf /\rls       ",
    "backspaces": "no\b\byes",
    "a turned direction": "txt.\u202eexe\u2066\u2069",
    "what is not seen": "a\u200bb\ufeffc\U000e0041\u2060",
    "another line": "one\u2028two\x85three",
    "no character": "name\udcff",
    "a null": "a\0b\x7f",
}
ACTS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e007f]"
)
MARKUP = "[link=https://evil.example]x[/link] [bold]y[/bold] :skull:"


class Terminal(StringIO):
    """A stream that is a terminal with colours."""

    def isatty(self) -> bool:
        return True


def _table(text: str) -> Table:
    table = Table(text, title=text)
    table.add_row(text)
    return table


def _live(text: str) -> None:
    with Live(Group(Text(text), _table(text)), console=console(), auto_refresh=False):
        pass


def _error(text: str) -> None:
    print_error(OpsError(f"cannot read {text}", f"look at {text}"))


WAYS: dict[str, Callable[[str], Any]] = {
    "write": write,
    "data": lambda text: Output().data(text),
    "say": lambda text: Output().say(text),
    "detail": lambda text: Output(verbose=True).detail(text),
    "warn": lambda text: Output().warn(text),
    "next": lambda text: Output().next(text),
    "table": lambda text: Output().table((text, "b"), [(text, text)]),
    "json": lambda text: Output(as_json=True).json({text: text}),
    "a line of JSON": lambda text: write_json({text: text}),
    "a string": lambda text: console().print(text),
    "a text": lambda text: console().print(Text(text, style="bold red"), soft_wrap=True),
    "rich's table": lambda text: console().print(_table(text)),
    "a live display": _live,
    "an error": _error,
}


def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """What is printed from here on, as if on a terminal with colours."""
    shown = Terminal()
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr("sys.stdout", shown)
    monkeypatch.setattr("sys.stderr", shown)
    return shown


def without_ours(text: str) -> str:
    """`text` without colours, and without the moves of a live display."""
    return re.sub(r"\x1b\[(?:[\d;]*m|\?25[lh]|\d*[AK]|2K)|\r", "", text)


@each_row("hostile", HOSTILE)
@each_row("way", WAYS)
def test_what_acts_on_a_terminal_is_printed_in_no_way(
    monkeypatch: pytest.MonkeyPatch, way: str, hostile: str
) -> None:
    terminal = on_terminal(monkeypatch)
    WAYS[way](f"before {HOSTILE[hostile]} after")
    shown = without_ours(terminal.getvalue())
    assert "before" in shown
    assert ACTS.findall(shown) == []


@each_row("way", WAYS)
def test_what_rich_takes_for_markup_is_text(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    terminal = on_terminal(monkeypatch)
    WAYS[way](MARKUP)
    assert "[bold]y[/bold]" in terminal.getvalue()
    assert "\x1b]8" not in terminal.getvalue()


@each_row("text", ["障害の監視\n\tbash: ok", "👩‍💻 é ©", "a\nb\tc"])
def test_lines_tabs_and_words_of_any_language_stay(text: str) -> None:
    assert harmless(text) == text
    assert harmless("a\r\nb") == "a\nb"


@each_row("hostile", HOSTILE.values())
def test_json_escapes_it_and_the_values_stay_what_they_are(hostile: str) -> None:
    document = harmless_json(json.dumps({hostile: [hostile]}, ensure_ascii=False))
    assert ACTS.findall(document) == []
    assert json.loads(document) == {hostile: [hostile]}


def test_an_answer_full_of_orders_is_shown_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on_terminal(monkeypatch)
    text = "".join(HOSTILE.values()) + MARKUP
    provider = {
        "name": text, "model": text, "status": "failed", "seconds": 1.0, "cost_usd": 0.1, "answer": text,
        "error": {"kind": text, "message": text},
    }  # fmt: skip
    body = {
        "answer": text, "confidence": 0.5, "consensus": 0.5, "thresholds": {"confidence": 1, "consensus": 1},
        "accepted": False, "calibrated": False, "simulated": True, "cache": "miss", "processing_ms": 1,
        "cost_usd": 0.1, "notes": [text], "providers": [provider], "outcome": text, "masked": {text: 1},
        "dissent": [{"provider": text, "root_cause": text, "grade": 0.1}],
        "unsettled": [{"claim": text, "against": [{"provider": text}]}],
        "destructive": [{"command": text, "why": text, "kind": text}],
        "escalations": [{"reason": text, "tier": text, "providers": [text]}],
        "bounces": [],
    }  # fmt: skip
    show_answer(body)
    told = {"problem_category": text, "severity": text, "root_cause": text, "solution_steps": [text]}
    show_triage({**told, "analysis": body})
    shown = without_ours(terminal.getvalue())
    assert ACTS.findall(shown) == []
    assert "\x1b]8" not in terminal.getvalue()


def test_a_question_to_the_user_is_harmless_too(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(output, "interactive", lambda: True)
    monkeypatch.setattr("typer.confirm", lambda question, **_: asked.append(question))
    output.confirm(f"Remove {HOSTILE['an escape']}?", yes=False)
    assert ACTS.findall("".join(asked)) == []


@each_row("error", [ValueError, OSError, KeyError, OpsError])
def test_the_words_of_an_error_that_nobody_caught_are_harmless(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def failing(**_: Any) -> None:
        raise error("".join(HOSTILE.values()))

    terminal = on_terminal(monkeypatch)
    monkeypatch.setattr(main, "app", failing)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == 1
    assert ACTS.findall(without_ours(terminal.getvalue())) == []


@each_row(
    "words",
    [["ps", "--file"], ["{}"], ["keys", "{}"], ["logs", "--lines", "{}"], ["backup", "show", "{}", "{}"]],
)
def test_wrong_usage_repeats_nothing_that_acts(tmp_path: Path, words: list[str]) -> None:
    hostile = HOSTILE["an escape"] + HOSTILE["an eight-bit escape"] + HOSTILE["a turned direction"]
    done = techsapo(tmp_path, *(word.replace("{}", hostile) for word in words))
    assert done.returncode == 2
    assert ACTS.findall(without_ours(done.stdout + done.stderr)) == []


DOORS = {"output.py", "console.py"}
_PRINTS = {"print", "echo", "secho", "prompt", "confirm", "Console", "stdout.write", "stderr.write"}
_SAID_BY_US = {("backup.py", "prompt"), ("restore.py", "prompt"), ("recover_doors.py", "prompt")}
"""Questions without a word from elsewhere, or with one that was made harmless."""


def test_nothing_in_the_command_line_prints_past_the_door() -> None:
    """`out.print` is rich's console, which `console()` made."""
    found = []
    for path in sorted(Path(techsapo_ops.cli.__file__).parent.rglob("*.py")):
        if path.name in DOORS:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            last = called.rpartition(".")[2]
            if called in {"print", "Console", "confirm"} or called.startswith(
                ("typer.", "sys.std", "click.")
            ):
                name = ".".join(called.split(".")[1:]) if "." in called else called
                if name in _PRINTS and (path.name, last) not in _SAID_BY_US and called != "confirm":
                    found.append(f"{path.name}:{node.lineno} {called}")
    assert found == []
