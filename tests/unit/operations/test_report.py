"""The weekly report: what it says, in both languages, whatever the names, and once a week to each."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.debian import Debian, package_lists
from fakes.open_stacks import open_stack
from fakes.weeks import Away
from stacks import spec, topology

from techsapo_ops.operations.report import measured
from techsapo_ops.operations.report.delivery import Target
from techsapo_ops.operations.report.report import Report, report_of
from techsapo_ops.operations.report.sending import Sent, send_report, targets
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
