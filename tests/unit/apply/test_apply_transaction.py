"""An apply as a transaction: going back, recording, rolling back and drift, with an engine in memory."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from fakes.memory_engine import Killed, MemoryEngine
from fakes.memory_project import MemoryProject, refuses
from rows import each_row

from techsapo_ops.adapters.textfile import read_textfile
from techsapo_ops.apply import transaction
from techsapo_ops.apply.changes import difference
from techsapo_ops.apply.drift import drift
from techsapo_ops.apply.up import UpReport
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.step import Action

GIGABYTE = ("maxmemory 1G", "maxmemory 1g", "maxmemory 1073741824")


class Project(MemoryProject):
    """With Redis's memory as what changes from one apply to the next."""

    def up(self, memory: str = "256M", **options: Any) -> UpReport:
        sections = {"redis": {"maxmemory": memory}, **(options.pop("sections", None) or {})}
        return super().up(sections=sections, **options)

    @property
    def textfiles(self) -> Path:
        """What node exporter reads."""
        return self.history.layout.textfiles

    def memory(self) -> str:
        text = (self.config / "redis" / "redis.conf").read_text()
        return next(line for line in text.splitlines() if line.startswith("maxmemory "))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_an_apply_is_recorded_with_who_what_and_how(project: Project) -> None:
    report = project.up()
    (entry,) = project.ledger.entries()
    assert report.entry == entry
    assert (entry.user, entry.command, entry.result) == ("alice", "up", "ok")
    assert [(s.action, s.service) for s in entry.steps] == [("create", "redis"), ("create", "app")]
    assert ("redis/redis.conf", "added") in entry.files


def test_a_new_version_is_on_disk_before_its_apply_is_recorded_and_no_other_apply_waits_for_that(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    applies: list[int] = []
    monkeypatch.setattr(os, "sync", lambda: applies.append(len(project.ledger.entries())))
    project.up()
    project.up("512M")
    assert not applies
    monkeypatch.setattr(transaction, "build", lambda: "0.3.0+0000000000.000000")
    project.up("1G")
    assert applies == [2]


def test_prometheus_is_told_the_newest_apply_and_a_failure_too(project: Project) -> None:
    project.up()
    told, took = read_textfile(project.textfiles, "apply")
    (entry,) = project.ledger.entries()
    files = str(len(entry.files))
    who = {"number": "1", "user": "alice", "command": "up", "result": "ok"}
    assert dict(told.labels) == {**who, "files": files}
    assert told.value == pytest.approx(entry.time.timestamp() + entry.seconds)
    assert (took.metric, dict(took.labels)) == ("techsapo_apply_duration_seconds", {"number": "1"})
    assert took.value == pytest.approx(entry.seconds)
    project.world.refused = refuses("redis", *GIGABYTE)
    project.up("1G")
    told, _ = read_textfile(project.textfiles, "apply")
    assert (told.labels["number"], told.labels["result"]) == ("2", "rolled-back")


def test_images_that_no_kept_apply_names_are_discarded(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("techsapo_ops.apply.ledger.MAX_ENTRIES", 2)
    for number, memory in enumerate(("100M", "200M", "300M", "400M"), 1):
        project.world.images["app"] = f"sha256:{(number + 1) // 2}"
        project.up(memory)
    assert [words for words in project.world.told if words.startswith("discard")] == ["discard sha256:1"]


def test_what_has_to_wait_is_left_out_after_a_failure_and_done_after_going_back(
    project: Project,
) -> None:
    project.up()
    project.world.concluded.clear()
    project.world.refused = refuses("redis", *GIGABYTE)
    project.up("1G")
    (told,) = project.world.concluded
    assert told[-3:] == ("restart redis", "prepare", "recreate redis"), "of the way back alone"


def test_a_failure_brings_files_and_services_back_and_says_so(project: Project) -> None:
    before = project.up().plan
    project.world.refused = refuses("redis", *GIGABYTE)
    before_text = project.memory()
    project.world.told.clear()
    report = project.up("1G")
    told = [words for words in project.world.told if words != "prepare"]
    assert told == ["restart redis", "recreate redis"], "the app was spared both ways"
    assert (report.back.to, report.back.failures) == (1, ())
    assert [o.step.service for o in report.failures] == ["redis"]
    assert project.memory() == before_text
    redis = before.desired.unit("redis")
    assert project.world.processes["redis"].loaded == redis.config_digest(before.desired.files)
    last = project.ledger.entries()[-1]
    assert (last.result, last.back_to) == ("rolled-back", 1)
    assert last.reason == "redis did not become ready: redis is broken"
    assert project.findings() == []


def test_a_service_that_runs_something_else_is_a_failure_with_its_log(project: Project) -> None:
    project.up()
    project.world.deaf.add("redis")
    report = project.up("1G")
    (failed,) = report.failures
    assert failed.error.message.startswith("redis: it runs another configuration")
    assert "| redis is ready" in failed.error.message
    assert report.back.failures == (), "what it runs is what it ran before"


def test_without_an_earlier_apply_what_is_good_stays_up(project: Project) -> None:
    project.world.refused = refuses("redis", "maxmemory 256", "maxmemory 268435456")
    report = project.up()
    assert report.back is None
    assert project.ledger.entries()[-1].result == "failed"
    assert project.ledger.current() is None
    with pytest.raises(OpsError, match="no successful apply"):
        project.rollback()
    project.world.refused = refuses("redis")
    assert project.up().failures == ()


def test_where_one_instance_does_not_come_up_its_siblings_go_on_as_they_are(project: Project) -> None:
    app = {"app": {"instances": [{"port": 4000}, {"port": 4001}, {"port": 4002}]}}
    project.up(sections=app)
    for process in project.world.processes.values():
        process.outdated, process.build = process.unit.service.startswith("app"), "0.1.0+old"
    project.world.refused = refuses("app-1", "", why="the new code does not start")
    project.world.told.clear()
    report = project.up(sections=app)
    assert "restart app-1" in project.world.told
    assert not [told for told in project.world.told if told in {"restart app-2", "restart app-3"}]
    assert "app-2 stays as it was, because app-1 did not start" in project.said.words
    assert [o.step.service for o in report.failures] == ["app-1"]
    assert report.back is None, "going back to the same configuration would run the same code"


def test_a_way_back_that_fails_too_is_told(project: Project) -> None:
    project.up()
    project.world.refused = refuses("redis", "maxmemory")
    report = project.up("1G")
    assert report.back.failures[0].message == "redis did not become ready: redis is broken"
    assert project.ledger.entries()[-1].result == "failed"
    project.world.refused = refuses("redis")
    assert project.rollback().target.id == 1, (
        "after a failure half way, back means the state that should stand"
    )


def test_rollback_restores_files_and_services_and_is_recorded(project: Project) -> None:
    project.up()
    first = project.memory()
    project.up("1G")
    assert project.memory() != first
    assert (project.rollback().target.id, project.memory()) == (1, first)
    last = project.ledger.entries()[-1]
    assert (last.command, last.restores, last.result) == ("rollback", 1, "ok")
    with pytest.raises(OpsError, match="no successful apply before"):
        project.rollback()
    assert project.rollback("@2")
    assert project.memory() != first


def test_a_refused_rollback_touches_nothing(project: Project) -> None:
    project.up()
    project.up("1G")
    project.world.told.clear()
    assert project.rollback(yes=False) is None
    assert project.world.told == []
    assert len(project.ledger.entries()) == 2


def test_there_is_no_going_back_to_an_apply_that_failed(project: Project) -> None:
    project.up()
    project.world.refused = refuses("redis", *GIGABYTE)
    project.up("1G")
    with pytest.raises(OpsError, match="@2 failed") as caught:
        project.rollback("@2")
    assert "@1" in caught.value.hint


def test_a_project_that_moved_is_not_rolled_back_into_its_old_place(project: Project, tmp_path: Path) -> None:
    project.up()
    project.up("1G")
    moved = tmp_path / "moved"
    moved.mkdir()
    (project.folder / ".techsapo").rename(moved / ".techsapo")
    with pytest.raises(OpsError, match="the project was in"):
        Project(moved, project.world).rollback()


def test_a_configuration_that_only_the_service_knows_of_is_planned_for(project: Project) -> None:
    project.up()
    project.world.processes["redis"].loaded = "something else"
    assert project.findings() == [("service", "redis", "it runs another configuration")]
    report = project.up()
    assert [
        (o.step.service, o.step.reason) for o in report.outcomes if o.step.action is not Action.NOTHING
    ] == [("redis", "it runs another configuration")]
    assert project.findings() == []


def test_drift_names_files_services_and_strangers(project: Project) -> None:
    project.up()
    config = project.config
    (config / "redis" / "redis.conf").write_text("# mine\n")
    (config / "app" / "techsapo.yaml").unlink()
    (config / "supervisor" / "supervisord.conf").chmod(0o644)
    project.world.end("redis")
    project.world.lose(project.engine.layout, "app")
    project.world.strangers.append("process 7 of this stack runs outside its supervisor: x")
    project.world.taken[4000] = "nc (pid 8)"
    assert project.findings() == [
        ("file", "app/techsapo.yaml", "is missing"),
        ("file", "redis/redis.conf", "was edited by hand"),
        ("file", "supervisor/supervisord.conf", "has mode 0644 instead of 0600"),
        ("service", "redis", "kept exiting"),
        ("service", "app", "is gone"),
        ("stranger", "app", "its port 4000 is in use by nc (pid 8)"),
        ("stranger", "", "process 7 of this stack runs outside its supervisor: x"),
    ]


def test_what_an_update_replaced_is_a_finding_of_its_own_and_no_service_changed_by_hand(
    project: Project,
) -> None:
    project.up()
    old = "still runs /usr/bin/redis-server from before an update"
    project.world.processes["redis"].replaced = old
    assert project.findings() == [("update", "redis", f"{old}: `techsapo restart redis` restarts it")]
    assert drift(project.history).replaced == {"redis"}
    project.world.processes["redis"].replaced = ""
    assert project.findings() == []


@each_row("undone", [False, True])
@each_row("moment", ["before restart redis", "during restart redis", "after restart redis"])
def test_an_apply_that_is_killed_at_a_step_is_completed_by_the_next_or_undone_by_a_roll_back(
    tmp_path: Path, moment: str, undone: bool
) -> None:
    project = Project(tmp_path)
    project.up()
    before = project.memory()
    project.world.kill = moment.__eq__
    with pytest.raises(Killed):
        project.up("1G")
    project.world.kill = lambda _: False
    assert "interrupted" in {k: what for k, _, what in project.findings()}["apply"]
    if undone:
        assert project.rollback().target.id == 1
        assert project.memory() == before
    else:
        assert project.up("1G").failures == ()
        assert [e.result for e in project.ledger.entries()] == ["ok", "failed", "ok"]
    assert project.findings() == []


def test_a_diff_shows_files_and_services_but_no_secret(project: Project) -> None:
    project.up()
    project.up(
        sections={
            "redis": {"password": "hunter2"},
            "app": {"instances": [{"port": 4000}, {"port": 4001}]},
        }
    )
    found = difference(project.history, None)
    text = json.dumps([f.diff for f in found.files])
    assert "hunter2" not in text
    assert {f.path: f.kind for f in found.files}["secrets/redis-password"] == "added"
    assert {s.service: s.what for s in found.services} == {
        "app": "removed",
        "app-1": "added",
        "app-2": "added",
        "nginx": "added",
    }


def test_a_port_that_somebody_else_has_is_seen_before_anything_is_touched(project: Project) -> None:
    project.up()
    project.world.taken = {4100: "nginx (pid 7, user www)", 6379: "itself"}
    before = dict(project.world.processes)
    with pytest.raises(OpsError) as refused:
        project.up(sections={"app": {"port": 4100}})
    assert refused.value.message == "app can't use port 4100: nginx (pid 7, user www) is listening on it"
    assert (refused.value.hint or "").startswith("nothing was changed: ")
    assert project.world.processes == before
    assert len(project.ledger.entries()) == 1, "no apply, and no way back"
    project.up("512M")  # Redis keeps the port that it has
    project.world.taken = {}
    assert project.up(sections={"app": {"port": 4100}}).changed


def test_ports_are_not_looked_at_where_nobody_knows_what_runs(project: Project) -> None:
    project.world.taken = {4000: "nginx (pid 7)", 6379: "redis (pid 8)"}
    assert project.up().changed, "a first one starts what it can"
    project.world.kill = lambda words: words == "after recreate app"
    with pytest.raises(Killed):
        project.up(sections={"app": {"port": 4100}})
    project.world.kill = lambda _: False
    project.world.taken = {4100: "itself, from a killed apply"}
    project.up(sections={"app": {"port": 4100}})


def test_a_way_back_on_which_a_host_is_lost_is_gone_by_the_others_and_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.up()
    project.world.refused = refuses("redis", *GIGABYTE)
    monkeypatch.setattr(MemoryEngine, "begin_back", lambda _: {"c": "no answer"})
    report = project.up("1G")
    assert [error.message.partition(":")[0] for error in report.back.failures] == [
        "some hosts were not rolled back (c"
    ]
    assert project.memory() == "maxmemory 268435456"
    assert project.ledger.entries()[-1].result == "failed"


def test_a_way_back_is_read_back_and_counts_as_gone_only_where_the_service_runs_it(project: Project) -> None:
    project.up()
    project.world.refused = refuses("redis", *GIGABYTE)

    def keeps_the_new(words: str) -> bool:
        """From when it was given the new configuration on, it takes no other."""
        if words == "during restart redis":
            project.world.deaf.add("redis")
        return False

    project.world.kill = keeps_the_new
    report = project.up("1G")
    (failed,) = report.back.failures
    assert failed.message.startswith("redis: it runs another configuration")
    last = project.ledger.entries()[-1]
    assert (last.result, last.back_to) == ("failed", 1)
