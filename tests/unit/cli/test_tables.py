"""Tables where the terminal has no room for them."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.cells import cell_len
from rich.console import Console
from rows import each_row

from techsapo_ops.adapters.line_breaks import wrapped
from techsapo_ops.cli import language
from techsapo_ops.cli.output import make_table

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
