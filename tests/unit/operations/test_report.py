"""The weekly report: what it says, in both languages, whatever the names, and once a week to each."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.debian import Debian, package_lists
from fakes.open_stacks import open_stack
from fakes.weeks import Away, Full, rows
from rows import each_row
from stacks import spec, topology

from techsapo_ops.adapters.alertmanager import Alertmanager, Matcher, Silence
from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.report import measured, section
from techsapo_ops.operations.report.delivery import NotDelivered, Target
from techsapo_ops.operations.report.page import COLUMNS, width
from techsapo_ops.operations.report.report import Report, report_of
from techsapo_ops.operations.report.sending import Sent, send_report, targets
from techsapo_ops.schedule.runs import Run, Runs
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stores.audit.rows import Rows

NOW = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)
HOSTILE = "<!channel> \x1b[2J & *x*\n" + "y" * 500
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


@each_row(
    "locale, title, away, packages",
    [
        (
            "ja",
            "の週次レポート 2026-11-23〜2026-11-30",
            "取得できません（",
            "パッケージ一覧は 2026-11-29 08:00 のもの",
        ),
        (
            "en",
            "report of 2026-11-23 to 2026-11-30",
            "not available: ",
            "by the package lists of 2026-11-29 08:00",
        ),
    ],
)
def test_an_empty_stack_has_a_report_that_says_why_it_does_not_know(
    locale: str, title: str, away: str, packages: str, tmp_path: Path
) -> None:
    made = report_of(stack(tmp_path, locale=locale), NOW, server=Away())
    assert title in made.title
    assert made.text.count(away) == 3
    assert packages in made.text
    assert made.to_json()["sections"]["refused"] == {
        "available": False,
        "missing": "http://127.0.0.1:1: connection refused",
    }


def test_an_audit_log_that_can_not_be_read_is_told_and_the_rest_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Rows:
        raise OpsError("the audit database can't be read: locked")

    monkeypatch.setattr(section, "rows_of", broken)
    made = report_of(stack(tmp_path, locale="en"), NOW, server=Full("x"))
    assert "Cost: not available: the audit database can't be read: locked" in made.text
    assert "Refused questions: 3 for the budget (used up 3)" in made.text


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


@each_row("locale", ["ja", "en"])
def test_it_stays_short_and_on_its_lines_whatever_the_names(
    locale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = with_data(monkeypatch, stack(tmp_path, locale=locale), HOSTILE)
    lines = made.text.splitlines()
    assert len(lines) <= 30
    assert max(map(len, lines)) <= section.LINE + 20
    assert len(made.text) <= 4000
    page = made.page.splitlines()
    assert len(page) <= 60
    assert max(map(width, page)) <= COLUMNS
    assert "\x1b" not in made.text


def test_silences_over_critical_alerts_are_listed_with_their_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured, "alertmanager_of", lambda _: Alertmanager("http://127.0.0.1:1"))
    end = NOW + timedelta(days=30)

    def silence(*matchers: str, state: str = "active") -> Silence:
        made = tuple(Matcher.parse(each) for each in matchers)
        return Silence("abc", made, NOW, end, "hanako", "moving house", state)

    hushed = [
        silence("alertname=MemoryHigh", "instance=app-1"),
        silence("alertname=BackupOld"),
        silence("severity=warning"),
        silence("alertname=DiskAlmostFull", state="expired"),
        silence("alertname=AppDown", "since=1767322800", "next=~.+"),
    ]
    monkeypatch.setattr(Alertmanager, "silences", lambda _: tuple(hushed))
    report = with_data(monkeypatch, stack(tmp_path, locale="en"), "x")
    (line,) = (line for line in report.text.splitlines() if "silenced" in line)
    until = f"{end.astimezone(NOW.tzinfo):%Y-%m-%d %H:%M}"
    assert line.strip() == f"silenced critical alerts: MemoryHigh until {until} (hanako)"
    facts = report.to_json()["sections"]["alerts"]["silences"]
    assert [(each["alerts"], each["comment"]) for each in facts] == [(["MemoryHigh"], "moving house")]

    def refuse(_: Alertmanager) -> tuple[Silence, ...]:
        raise Unreachable("http://127.0.0.1:1", "connection refused")

    monkeypatch.setattr(Alertmanager, "silences", refuse)
    away = with_data(monkeypatch, stack(tmp_path, locale="en"), "x")
    assert "silences are not available: http://127.0.0.1:1: connection refused" in away.text


def test_a_backup_that_was_planted_or_a_week_without_one_is_told(tmp_path: Path) -> None:
    made = report_of(stack(tmp_path, locale="en"), NOW, server=Away())
    assert "Backups: there is none" in made.text


@each_row(
    "notifications, paths",
    [
        ({}, []),
        ({"report": [SLACK]}, ["report.0"]),
        ({"report": [], "info": [SLACK]}, []),
        ({"info": [SLACK, {"kind": "webhook", "url": "https://x.example"}, SLACK]}, ["info.0"]),
    ],
)
def test_it_reaches_whom_the_spec_names_else_slack_and_mail_of_info(
    notifications: dict[str, Any], paths: list[str]
) -> None:
    assert [t.path for t in targets(spec(notifications=notifications))] == paths


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


def test_what_was_refused_is_tried_again_and_what_may_have_arrived_is_not(tmp_path: Path) -> None:
    made, report, to = one_of(tmp_path)

    def refuse(target: Target, report: Report) -> None:
        raise NotDelivered("answered HTTP 404 no_service")

    def hang(target: Target, report: Report) -> None:
        raise NotDelivered("did not answer within 20 s", perhaps=True)

    def take(target: Target, report: Report) -> None:
        raise AssertionError("sent twice")

    assert outcomes(send_report(made.layout, report, to, hand_over=refuse)) == ["failed"]
    (unsure,) = send_report(made.layout, report, to, hand_over=hang)
    assert not unsure.ok
    assert "may have arrived" in unsure.why
    assert outcomes(send_report(made.layout, report, to, hand_over=take)) == ["before"]


def test_a_run_that_was_cut_off_while_sending_is_told_once_and_nothing_is_sent_twice(tmp_path: Path) -> None:
    made, report, to = one_of(tmp_path)

    def killed(target: Target, report: Report) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send_report(made.layout, report, to, hand_over=killed)
    (cut,) = send_report(made.layout, report, to, hand_over=killed)
    assert (cut.outcome, cut.ok) == ("open", False)
    assert outcomes(send_report(made.layout, report, to, hand_over=killed)) == ["before"]


def test_a_damaged_note_of_what_was_sent_sends_nothing(tmp_path: Path) -> None:
    made, report, to = one_of(tmp_path)
    folder = made.layout.jobs / "report"
    folder.mkdir(parents=True)
    (folder / "sent.json").write_text(json.dumps({"2026-W49": {"slack:x": {}}}))
    with pytest.raises(OpsError, match="damaged"):
        send_report(made.layout, report, to, hand_over=lambda *_: pytest.fail("sent"))


@each_row(
    "text, began_with, at",
    [
        ("project: x", 1, None),
        ("project: x", 2, "0 8 * * 1"),
        ("{project: x, schedule: {report: null}}", 2, None),
        ("{project: x, schedule: {report: '0 9 * * 5'}}", 1, "0 9 * * 5"),
        ("{project: x, edition: 2}", 1, "0 8 * * 1"),
    ],
)
def test_new_stacks_have_the_job_and_others_by_name(text: str, began_with: Any, at: str | None) -> None:
    from techsapo_ops.spec.edition import Deployment
    from techsapo_ops.spec.load import load

    loaded: Spec = load(text, {}, lambda _: "", deployment=Deployment(None, began_with)).spec
    assert loaded.schedule.times()["report"] == at
