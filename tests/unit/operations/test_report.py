"""The weekly report: what it says, in both languages, whatever the names, and once a week to each."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.debian import Debian, package_lists
from fakes.open_stacks import open_stack
from fakes.weeks import Away, Full, rows
from stacks import spec, topology

from techsapo_ops.operations.report import measured, section
from techsapo_ops.operations.report.delivery import Target
from techsapo_ops.operations.report.report import Report, report_of
from techsapo_ops.operations.report.sending import Sent, send_report, targets
from techsapo_ops.schedule.runs import Run, Runs
from techsapo_ops.stack.stack import Stack

NOW = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)
SLACK = {"kind": "slack", "url": "https://hooks.slack.example/services/T0/B0/s3cret"}


@pytest.fixture(autouse=True)
def no_alertmanager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "alertmanager_of", lambda _: None)


@pytest.fixture(autouse=True)
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Apt's lists of a day before."""
    return package_lists(monkeypatch, tmp_path / "apt-lists", NOW - timedelta(days=1))


def stack(tmp_path: Path, **sections: Any) -> Stack:
    return open_stack(topology(spec(**sections), tmp_path), runner=Debian())


def with_data(monkeypatch: pytest.MonkeyPatch, made: Stack, name: str) -> Report:
    monkeypatch.setattr(section, "rows_of", lambda *_: rows(name))
    runs = Runs(made.layout.jobs)
    for number, result in ((1, "ok"), (2, "failed")):
        runs.write(Run(number, "backup", NOW - timedelta(days=1), "service", "ops", 1, "x", result))  # type: ignore[arg-type]
    return report_of(made, NOW, server=Full(name))


def test_a_week_is_counted_by_whole_days_beside_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = with_data(monkeypatch, stack(tmp_path, locale="en"), "claude")
    told = made.to_json()["sections"]
    assert (told["cost"]["usd"], told["cost"]["usd_before"], told["cost"]["questions"]) == (7.0, 5.0, 2)
    assert "$7.00 for 2 questions up to 2026-11-29 (UTC); $5.00 in the time before (+40%)" in made.text
    assert "9% of the month's budget of $70.00" in made.text, "what is simulated is not counted"
    assert "$1.00 of it is simulated" in made.text
    assert "Declined answers: 1 of 2 up to 2026-11-29 (UTC)" in made.text
    assert "1 of 2 runs failed (backup 1×)" in made.text
    assert "claude 2×, 18 min in all (acknowledged by claude0, claude1, 7 more)" in made.text
    assert told["alerts"]["alerts"][1] == {
        "alert": "Other",
        "times": 1,
        "minutes": 2.0,
        "acknowledged_by": [],
    }
    assert "nothing was measured for" in made.text


def one_of(tmp_path: Path, now: datetime = NOW) -> tuple[Stack, Report, tuple[Target, ...]]:
    made = stack(tmp_path, notifications={"report": [SLACK]})
    return made, report_of(made, now, server=Away()), targets(made.spec)


def outcomes(done: tuple[Sent, ...]) -> list[str]:
    return [sent.outcome for sent in done]


def test_a_week_is_sent_once_and_the_next_one_again(tmp_path: Path) -> None:
    made, report, to = one_of(tmp_path)
    taken: list[str] = []
    hand_over = lambda target, report: taken.append(report.week)  # noqa: E731 - a name for its type
    assert outcomes(send_report(made.layout, report, to, hand_over=hand_over)) == ["sent"]
    (second,) = send_report(made.layout, report, to, hand_over=hand_over)
    assert second.ok
    assert "2026-W49 was sent at" in second.why
    assert "--again" in second.why
    assert outcomes(send_report(made.layout, report, to, again=True, hand_over=hand_over)) == ["sent"]
    later = replace(report, made=NOW + timedelta(days=7))
    assert outcomes(send_report(made.layout, later, to, hand_over=hand_over)) == ["sent"]
    assert taken == ["2026-W49", "2026-W49", "2026-W50"]
    assert "s3cret" not in (made.layout.jobs / "report" / "sent.json").read_text()
