"""Data that was there and is gone: all say it, and nothing is made in its place unasked; and its budgets."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.memory_project import MemoryProject
from rows import each_row
from typer.testing import CliRunner

from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.adapters.textfile import Sample
from techsapo_ops.apply import drift
from techsapo_ops.apply.administration import actions, chain_of
from techsapo_ops.apply.data import note_gap, note_restored, note_unnoted, reset_budget, unnoted_data
from techsapo_ops.apply.plan import plan_of
from techsapo_ops.apply.stop import down
from techsapo_ops.apply.up import UpReport, up, up_empty
from techsapo_ops.backup.create import create_backup
from techsapo_ops.backup.repository.create import create
from techsapo_ops.backup.repository.folder import repository_of
from techsapo_ops.backup.repository.manifest import Manifest
from techsapo_ops.cli.apply.plan_view import plan_json
from techsapo_ops.cli.main import app
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.job import JobContext
from techsapo_ops.services.lost_data import LostData, lost_data
from techsapo_ops.stack.backup import Amount, Part
from techsapo_ops.stack.data_notes import MARK, BudgetNote, DataNote, Gap, read_note
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.step import Action

KEYS = (
    "redis_version:7.0.15\r\nrdb_changes_since_last_save:0\r\ntotal_commands_processed:1\r\n"
    "db0:keys=1204,expires=0\r\n"
)


class Shell:
    """A host with a shell, whose Redis says how many keys it has."""

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        if command.argv[0] == "sh":
            done = subprocess.run(
                command.argv, cwd=command.cwd, capture_output=True, timeout=timeout, check=False
            )
            return Completed(command, done.returncode, done.stdout, done.stderr)
        if "INFO" in command.argv:
            return Completed(command, 0, KEYS.encode(), b"")
        raise OpsError(f"{command} must not run here")


class Project(MemoryProject):
    def stack(self, **sections: object) -> Stack:
        return replace(super().stack(**sections), runner=Shell())


def data(project: Project) -> Path:
    return project.folder / ".techsapo" / "data"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def with_data(project: Project, *files: str) -> None:
    project.up()
    for file in files:
        path = data(project) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("data")
    project.up()


@pytest.fixture
def began(project: Project) -> Project:
    """A stack whose Redis and audit log have data, which an apply has seen."""
    with_data(project, "redis/dump.rdb", "app/audit.sqlite")
    return project


def lost(project: Project) -> tuple[LostData, ...]:
    stack = project.stack()
    return lost_data(stack.topology, stack.engine, stack.topology.engine)


def known(project: Project) -> DataNote:
    return DataNote(project.stack().layout, "native")


def refused(project: Project) -> OpsError:
    project.world.told.clear()
    with pytest.raises(OpsError) as caught:
        project.up()
    assert project.world.told == [], "nothing was touched"
    return caught.value


def emptied(project: Project) -> UpReport:
    report = up_empty(project.stack(), project.said)
    assert report is not None
    return report


def test_an_apply_notes_what_data_there_is_and_how_much(began: Project) -> None:
    found = known(began).known()
    assert found["redis"].amount == Amount("keys", 1204)
    assert set(found) == {"redis", "app"}
    assert (data(began) / "redis" / MARK).exists()
    assert not lost(began)


def test_a_folder_that_is_gone_or_empty_or_another_one_is_told_by_plan_and_refused_by_up(
    began: Project,
) -> None:
    seen = known(began).known()["redis"].seen.astimezone()
    folder = data(began) / "redis"
    words = f"Redis's data is gone (last seen at {seen:%H:%M}: 1,204 keys)"
    shutil.rmtree(folder)
    planned = plan_of(began.stack())
    assert [str(each) for each in planned.lost] == [words]
    assert plan_json(planned)["lost"][0]["service"] == "redis"
    error = refused(began)
    assert words in error.message
    assert "there is no backup of this data" in error.message
    assert "techsapo up --empty" in error.hint
    folder.mkdir()
    assert [str(each) for each in lost(began)] == [words], "empty"
    (folder / "dump.rdb").write_text("")
    assert [str(each) for each in lost(began)] == [words], "made anew"


def test_a_mark_that_outlived_the_data_does_not_hide_that_it_is_gone(began: Project) -> None:
    (data(began) / "redis" / "dump.rdb").unlink()
    assert [each.service for each in lost(began)] == ["redis"]


def test_the_newest_backup_that_has_the_data_is_named_with_both_commands(began: Project) -> None:
    create_backup(began.stack(), only=("config",))
    shutil.rmtree(data(began) / "redis")
    assert "there is no backup of this data" in refused(began).message

    class Taken:
        kind = "redis"

        def take(self, folder: Path, stamp: str, progress: object) -> Part:
            (folder / "dump").write_text("x")
            facts = {"databases": {}, "changes": 0, "sample": []}
            return Part("redis", "dump", 1, 1, "0" * 64, 0.1, "Redis 7", facts)

    repository = repository_of(began.stack())
    with repository.lock():
        made = create(repository, Manifest.draft("lab", "native"), (Taken(),), lambda: datetime.now(UTC))
    create_backup(began.stack(), only=("config",))
    error = refused(began)
    assert f"the newest backup of this data is {made.id}" in error.message
    assert f"`techsapo restore {made.id}`" in error.hint
    assert "`techsapo up --empty`" in error.hint


def test_up_empty_starts_anew_once_and_is_recorded(began: Project) -> None:
    shutil.rmtree(data(began) / "redis")
    report = emptied(began)
    step = next(o.step for o in report.outcomes if o.step.service == "redis")
    assert step.action is Action.RESTART
    assert "halt redis" in began.world.told
    told = [a for a in actions(chain_of(began.stack().layout).read()) if a.action == "up --empty"]
    assert [a.outcome for a in told] == ["done"]
    assert "1,204 keys" in told[0].what["lost"]["redis"]
    assert not lost(began)
    began.up()


def test_data_that_is_gone_is_not_forgotten_by_an_apply_of_another_service(began: Project) -> None:
    shutil.rmtree(data(began) / "app")
    up(began.stack(), began.said, only=("redis",))
    assert [each.service for each in lost(began)] == ["app"]
    assert "app" in refused(began).message.lower() or "TechSapo" in refused(began).message


def test_a_roll_back_makes_nothing_in_its_place_either(began: Project) -> None:
    shutil.rmtree(data(began) / "redis")
    began.world.told.clear()
    with pytest.raises(OpsError, match="Redis's data is gone"):
        began.rollback("@1")
    assert began.world.told == []


def test_the_job_drift_leaves_a_metric_of_each_service_with_data(began: Project) -> None:
    def samples() -> dict[str, float]:
        stack = began.stack()
        context = JobContext(stack.layout, began.stack, began.history, lambda _: None)
        found: tuple[Sample, ...] = tuple(drift.job(context).samples)
        return {s.labels["service"]: s.value for s in found if s.metric == "techsapo_data_missing"}

    assert samples() == {"redis": 0, "app": 0}
    shutil.rmtree(data(began) / "app")
    assert samples() == {"redis": 0, "app": 1}


def test_data_that_a_restore_brought_back_is_there_again(began: Project) -> None:
    shutil.rmtree(data(began) / "app")
    note_restored(began.stack(), ["sqlite:app", "redis", "config"])
    assert [each.service for each in lost(began)] == ["app"], "nothing was brought back"
    (data(began) / "app").mkdir()
    (data(began) / "app" / "audit.sqlite").write_text("of a backup")
    note_restored(began.stack(), ["sqlite:app"])
    assert not lost(began)
    (gap,) = read_note(began.stack().layout.budget_note).gaps
    assert gap.since == known(began).known()["app"].since
    began.up()


def test_what_was_scaled_away_is_not_missed(began: Project) -> None:
    instances = {"app": {"instances": [{"port": 4000}, {"port": 4001}]}, "nginx": {"enabled": False}}
    began.up(sections=instances)
    assert set(known(began).known()) == {"redis"}


def test_a_stack_that_was_never_applied_or_has_no_data_yet_begins_empty(project: Project) -> None:
    assert not plan_of(project.stack()).lost
    project.up()
    project.up()
    assert known(project).known() == {}


def test_down_alone_forgets_nothing(began: Project) -> None:
    down(began.engine)
    shutil.rmtree(data(began))
    assert "Redis's data is gone" in refused(began).message


def test_data_that_a_service_saved_after_its_only_apply_is_noted_and_missed(project: Project) -> None:
    project.up()
    assert not unnoted_data(project.stack())
    (data(project) / "redis").mkdir(parents=True, exist_ok=True)
    (data(project) / "redis" / "dump.rdb").write_text("data")
    assert [each.name for each in unnoted_data(project.stack())] == ["redis"]
    note_unnoted(project.stack())
    assert set(known(project).known()) == {"redis"}
    assert not unnoted_data(project.stack())
    shutil.rmtree(data(project) / "redis")
    assert [each.service for each in lost(project)] == ["redis"]


@each_row("content", ["{", "[]", '{"native": {"redis": {"kind": "redis"}}}', '{"native": 1}'])
def test_a_damaged_note_is_an_error_and_no_reason_to_start_empty(began: Project, content: str) -> None:
    began.stack().layout.data_note.write_text(content)
    assert "is damaged" in refused(began).message


def seen_by_the_app(project: Project) -> BudgetNote:
    return read_note(project.config / "app" / "budget" / "note.json")


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
