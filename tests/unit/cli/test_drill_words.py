"""What drills, recoveries and maintenance say to whoever has not read their documentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.open_stacks import Seen, open_stack
from monitoring_stack import spec_of, topology_of
from rows import each_row
from typer.testing import CliRunner

from techsapo_ops.catalogue.drills import DrillWords
from techsapo_ops.cli import drill_run
from techsapo_ops.cli.commands import maintenance
from techsapo_ops.cli.main import app
from techsapo_ops.cli.output import Output
from techsapo_ops.cli.recover_doors import RecoverDoors
from techsapo_ops.cli.views.drills import list_reports, show_report
from techsapo_ops.operations.apply.transaction import INTERRUPTED
from techsapo_ops.operations.drills.page import page
from techsapo_ops.operations.drills.report import DRILLS, Drill, Phase, Report
from techsapo_ops.stack.maintenance import Maintenance

STARTED = datetime(2026, 1, 31, 10, tzinfo=UTC)
COUNTS = {"lost_seconds": 9.0, "fetch_seconds": 1.5, "health_seconds": 2.0, "mysql_seconds": 0.4}


def report(*phases: Phase) -> Report:
    """A drill with these phases, and counts whose names are those of steps and sources."""
    return Report(
        id="20260131T100000Z-recover", drill="recover", project="t", engine="native", version="1",
        started=STARTED, seconds=3.0, phases=phases, counts=COUNTS,
    )  # fmt: skip


def test_a_time_has_words_and_what_never_came_is_never(capsys: pytest.CaptureFixture[str]) -> None:
    late = report(Phase("delivery", None, 70.0))
    list_reports([late], Output())
    show_report(late, Output())
    told = capsys.readouterr().out
    assert "to the receivers never" in told
    assert "fetch the copy (s)" in told
    assert "mysql (s)" in told
    assert "_seconds" not in told
    assert DrillWords("ja")("mysql_seconds") == "mysql（秒）"


def test_times_have_the_same_decimals_and_numbers_none(capsys: pytest.CaptureFixture[str]) -> None:
    done = replace(report(Phase("data", 2.0, 900.0)), counts={**COUNTS, "redis_seconds": 0.0, "sent": 7.0})
    show_report(done, Output())
    told = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["data", "back", "2.00", "s", "900", "s", "ok"] in told
    assert [line[-1] for line in told if "(s)" in line] == ["9.00", "1.50", "2.00", "0.40", "0.00"]
    assert ["requests", "sent", "7"] in told
    assert "| redis（秒） | 0.00 |" in page(done, "ja")


@each_row("which", DRILLS)
def test_an_interrupted_drill_says_what_is_left_of_it(
    which: Drill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(drill_run, "perform", interrupted)
    where = open_stack(topology_of(spec_of({"project": "t"}), tmp_path), Seen())
    work: Callable[[object], Report] = lambda _: report()  # noqa: E731
    with pytest.raises(KeyboardInterrupt):
        drill_run.run_drill(where, which, {}, work, Output(as_json=True))
    said = capsys.readouterr()
    assert said.out == ""
    assert "interrupted: there is no report; " in said.err


def test_an_interrupted_recovery_does_not_send_to_up(capsys: pytest.CaptureFixture[str]) -> None:
    listener = RecoverDoors(Output()).listener
    listener.warn(INTERRUPTED)
    assert capsys.readouterr().err == "", "the command says what to do"
    listener.warn("the disk is nearly full")
    assert "nearly full" in capsys.readouterr().err


def test_maintenance_again_says_what_it_takes_the_place_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "techsapo.yaml").write_text("project: t\n")
    made = Maintenance("", STARTED, None, "hanako", "")
    monkeypatch.setattr(maintenance, "turn_on", lambda *_: made)
    for before, said in (
        (None, False),
        (made, False),
        (Maintenance("new disk", STARTED, None, "h", ""), True),
    ):
        monkeypatch.setattr(maintenance, "maintenance_of", lambda _, told=before: told)
        done = CliRunner().invoke(app, ["maintenance", "on"])
        assert done.exit_code == 0, done.output
        assert ("in place of: maintenance since" in done.output) is said
        assert ("new disk" in done.output) is said
