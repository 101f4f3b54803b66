"""`techsapo report`: sending it is in the record of administration, showing it is not."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from techsapo_ops.cli.commands import report as command
from techsapo_ops.cli.main import app
from techsapo_ops.operations.administration import Action, actions, chain_of
from techsapo_ops.operations.report.report import Report
from techsapo_ops.operations.report.sending import Outcome, Sent, Target
from techsapo_ops.stack.layout import Layout

SPEC = """\
project: shop
notifications:
  report: [{kind: slack, url: "https://hooks.slack.example/s3cret"}, {kind: email, to: ops@example.com}]
  smtp: {smarthost: "mail.example.com:587", sender: techsapo@example.com}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose report is made of nothing."""
    (tmp_path / "techsapo.yaml").write_text(SPEC)
    monkeypatch.chdir(tmp_path)
    made = Report("shop", "en", datetime(2026, 11, 30, 8, tzinfo=UTC), 7, "shop: report", ())
    monkeypatch.setattr(command, "report_of", lambda *_: made)
    return tmp_path


def sends(monkeypatch: pytest.MonkeyPatch, *outcomes: Outcome) -> None:
    """Each receiver, in their order, ends so."""

    def send(layout: Layout, report: Report, to: tuple[Target, ...], *, again: bool) -> tuple[Sent, ...]:
        return tuple(Sent(target, outcome) for target, outcome in zip(to, outcomes, strict=True))

    monkeypatch.setattr(command, "send_report", send)


def record(folder: Path) -> list[Action]:
    state = folder / ".techsapo"
    return list(actions(chain_of(Layout(state, state / "generated")).read()))


def test_sending_by_hand_is_recorded_with_what_became_of_each(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sends(monkeypatch, "sent", "failed")
    done = CliRunner().invoke(app, ["report", "--send", "--again"])
    assert done.exit_code == 1
    (action,) = record(folder)
    assert (action.action, action.outcome) == ("report --send", "done")
    assert action.what == {
        "week": "2026-W49",
        "receivers": ["report.0", "report.1"],
        "again": True,
        "outcomes": ["report.0 sent", "report.1 failed"],
    }
    kept = (folder / ".techsapo/administration/record.jsonl").read_text()
    assert "s3cret" not in kept


def test_what_can_not_be_recorded_is_not_sent(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "send_report", lambda *_, **__: pytest.fail("sent"))
    (folder / ".techsapo").mkdir()
    (folder / ".techsapo/administration").write_text("no folder")
    done = CliRunner().invoke(app, ["report", "--send"])
    assert done.exit_code == 1
    assert "report --send was not done, because it can't be recorded" in str(done.exception or done.output)


def test_showing_it_is_no_act(folder: Path) -> None:
    assert CliRunner().invoke(app, ["report"]).output.startswith("shop: report")
    assert not (folder / ".techsapo/administration").exists()
