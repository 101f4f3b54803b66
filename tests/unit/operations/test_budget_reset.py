"""What the app is told of budgets from outside: resets, and an audit log that is gone."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.memory_project import MemoryProject
from kept_data import Project, data
from typer.testing import CliRunner

from techsapo_ops.cli.main import app
from techsapo_ops.operations.administration import actions, chain_of
from techsapo_ops.operations.apply.stop import down
from techsapo_ops.operations.apply.up import up_empty
from techsapo_ops.operations.budget import note_gap, reset_budget
from techsapo_ops.stack.budget_note import BudgetNote, Gap, read_note


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def seen_by_the_app(project: MemoryProject) -> BudgetNote:
    return read_note(project.config / "app" / "budget" / "note.json")


def with_data(project: Project, *files: str) -> None:
    project.up()
    for file in files:
        path = data(project) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("data")
    project.up()


def test_a_reset_is_told_to_the_app_and_recorded_with_who_did_it(project: Project) -> None:
    project.up()
    at = reset_budget(project.stack(), "day", project.said.warn)
    assert seen_by_the_app(project).resets == {"day": at}
    reset_budget(project.stack(), "month", project.said.warn)
    assert set(seen_by_the_app(project).resets) == {"day", "month"}
    (first, _) = [
        a for a in actions(chain_of(project.stack().layout).read()) if a.action == "answers reset-budget"
    ]
    assert (first.outcome, first.what["period"]) == ("done", "day")
    assert first.who["user"]


def test_the_command_asks_first_and_names_the_budget(tmp_path: Path) -> None:
    (tmp_path / "techsapo.yaml").write_text("project: lab\nengine: native\nredis: {enabled: false}\n")
    place = ["--file", str(tmp_path / "techsapo.yaml")]
    refused = CliRunner().invoke(app, ["answers", "reset-budget", "day", *place])
    assert refused.exit_code == 1
    assert not (tmp_path / ".techsapo" / "budget.json").exists()
    assert CliRunner().invoke(app, ["answers", "reset-budget", "week", *place]).exit_code == 2
    done = CliRunner().invoke(app, ["answers", "reset-budget", "day", "--yes", *place])
    assert done.exit_code == 0, done.output
    assert set(read_note(tmp_path / ".techsapo" / "budget.json").resets) == {"day"}


def test_an_apply_tells_the_app_since_when_it_has_an_audit_log_of_its_own(project: Project) -> None:
    with_data(project, "app/audit.sqlite")
    since = seen_by_the_app(project).audit_since
    assert set(since) == {"app"}
    project.up()
    assert seen_by_the_app(project).audit_since == since


def test_an_audit_log_that_is_given_up_is_a_gap_until_then(project: Project) -> None:
    with_data(project, "app/audit.sqlite", "redis/dump.rdb")
    since = seen_by_the_app(project).audit_since["app"]
    shutil.rmtree(data(project) / "redis")
    up_empty(project.stack(), project.said)
    assert not seen_by_the_app(project).gaps, "rows are in the audit log, and not in Redis"
    shutil.rmtree(data(project) / "app")
    up_empty(project.stack(), project.said)
    (gap,) = seen_by_the_app(project).gaps
    assert gap.since == since
    assert gap.since <= gap.seen <= gap.until
    assert not seen_by_the_app(project).audit_since, "the new one is noted once it is there"


def test_old_gaps_go_when_they_matter_no_more(project: Project) -> None:
    project.up()
    now = datetime.now(UTC)
    layout = project.stack().layout
    for days in (100, 3):
        at = now - timedelta(days=days)
        note_gap(layout, Gap(at, at, at), ())
    assert [gap.until for gap in read_note(layout.budget_note).gaps] == [now - timedelta(days=3)]


def test_down_with_volumes_begins_as_a_stack_that_was_never_applied(project: Project) -> None:
    with_data(project, "app/audit.sqlite")
    reset_budget(project.stack(), "day", project.said.warn)
    down(project.engine, remove_data=True)
    assert not read_note(project.stack().layout.budget_note).audit_since
    assert set(read_note(project.stack().layout.budget_note).resets) == {"day"}
