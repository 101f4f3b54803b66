"""What an investigation reads of the own stack: what was done to it, and how it is."""

from __future__ import annotations

import json
import os
import re
import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.memory_project import MemoryProject, refuses

from techsapo_ops.adapters.kernel_log import OomKill, kills, oom_kills
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.bundle import material_of
from techsapo_ops.incidents.material import Material, Subject
from techsapo_ops.jobs.job import JobContext
from techsapo_ops.jobs.runs import Run, Runs
from techsapo_ops.stack.observed import LogLine, State, Stopped, note_stopped
from techsapo_ops.watch.evidence import changes, own, seen
from techsapo_ops.watch.evidence.own import own_readers

MINUTE = timedelta(minutes=1)


@pytest.fixture
def project(tmp_path: Path) -> MemoryProject:
    return MemoryProject(tmp_path)


def read(reader: Any, project: MemoryProject, **sections: Any) -> Material:
    now = datetime.now(UTC) + MINUTE
    material: Material = reader(project.stack(**sections), Subject(now), now - 30 * MINUTE, now)
    return material


def test_an_apply_is_told_with_who_ran_it_and_with_what_it_changed(project: MemoryProject) -> None:
    project.up()
    project.up(sections={"redis": {"maxmemory": "64M"}})
    first, second = read(changes.applies, project).changes
    assert first.kind == "apply"
    assert first.text.startswith("apply @1 (`techsapo up` by alice, ok): ")
    assert 'redis.maxmemory: "256M" → "64M"' in second.detail
    assert re.search(r"^-maxmemory \d+\n\+maxmemory \d+$", second.detail, re.MULTILINE)
    assert "redis" in second.text
    assert first.service == ""


def test_a_failed_apply_says_why_and_is_compared_with_the_last_good_one(project: MemoryProject) -> None:
    project.up()
    project.world.refused = refuses("redis", f"maxmemory {64 << 20}")
    project.up(sections={"redis": {"maxmemory": "64M"}})
    text = read(changes.applies, project).changes[-1]
    assert "rolled-back" in text.text
    assert "redis is broken" in text.text


def test_no_secret_is_among_what_an_apply_changed(project: MemoryProject) -> None:
    project.up(sections={"redis": {"password": "hunter2hunter2"}})
    hook = "https://user:hunter3@hooks.example.com/x"
    receivers = {"team": {"kind": "webhook", "url": "https://hooks.example.com/hunter4hunter4"}}
    project.up(
        sections={
            "redis": {"password": "hunter5hunter5"},
            "monitoring": {**project.stack().spec.model_dump()["monitoring"], "runbook_url": hook},
            "notifications": {"receivers": receivers, "critical": ["team"]},
        }
    )
    material = read(changes.applies, project)
    assert "runbook_url" in material.changes[-1].detail
    assert "hunter" not in repr(material)


def test_a_file_that_was_edited_by_hand_is_drift_as_of_when_it_was_written(project: MemoryProject) -> None:
    project.up()
    path = next(project.config.glob("redis/*.conf"))
    path.write_text("edited")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    project.world.end("redis")
    found = {change.text: change for change in read(changes.drifted, project).changes}
    edited = next(change for text, change in found.items() if "edited by hand" in text)
    assert edited.at.timestamp() == 1_700_000_000
    assert any(change.service == "redis" for change in found.values())


def test_runs_of_jobs_that_touch_the_window_are_told_but_not_the_own_one(project: MemoryProject) -> None:
    project.up()
    runs, now = Runs(project.stack().layout.jobs), datetime.now(UTC)
    for number, (job, ago) in enumerate((("backup", 90), ("backup", 5), ("evidence", 1)), 1):
        (runs.folder / job).mkdir(parents=True, exist_ok=True)
        run = Run(
            number, job, now - ago * MINUTE, "service", "alice", 1, "1", "failed", 1, 60.0, error="no room\nx"
        )
        runs.write(run)
    material = own._SOURCES["jobs"](project.stack(), Subject(now), now - 30 * MINUTE, now)
    assert [change.text for change in material.changes] == ["job backup: failed: no room"]


def test_a_service_that_was_started_or_stopped_in_the_window_is_a_change(project: MemoryProject) -> None:
    project.up()
    now = datetime.now(UTC)
    process = project.world.processes["redis"]
    process.started, process.restarts = now, 3
    note_stopped(project.stack().layout, {"app": Stopped("alice", now)})
    material = read(seen.services, project)
    texts = [change.text for change in material.changes]
    assert "redis was restarted, 3 times by itself" in texts
    assert any(text.startswith("app was stopped by alice") for text in texts)
    assert {fact.name: fact.ok for fact in material.facts}["service redis"] is True
    project.world.end("redis", State.BACKOFF)
    assert {fact.name: fact.ok for fact in read(seen.services, project).facts}["service redis"] is False


def test_warnings_of_the_services_are_lines_with_their_service(project: MemoryProject) -> None:
    project.up()
    now = datetime.now(UTC)
    project.world.log += [
        LogLine("redis", "1:M 31 Jan 2026 12:00:00.000 * Ready", now),
        LogLine("redis", "1:M 31 Jan 2026 12:00:00.000 # OOM command not allowed", now),
        LogLine("app", '{"level": "error", "message": "Redis refuses"}', now),
    ]
    lines = read(seen.logs, project).lines
    assert [(line.service, line.level) for line in lines] == [("redis", "warning"), ("app", "error")]


def test_room_memory_and_load_of_this_host_are_facts(project: MemoryProject) -> None:
    facts = {fact.name: fact for fact in read(seen.host, project).facts}
    assert {"room at /", "memory", "load"} <= facts.keys()
    assert "free" in facts["room at /"].value


RECORDS = """\
6,6715,16768389934,-;veth379d9b8 (unregistering): left allmulticast mode
3,812,60000000,-;Out of memory: Killed process 4021 (redis-server) total-vm:900kB, anon-rss:8kB, UID:0
 SUBSYSTEM=mm
3,813,60999999,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/system.slice/\
shop.service,task_memcg=/system.slice/shop.service,task=python3,pid=77,uid=0
3,813,61000000,-;Memory cgroup out of memory: Killed process 77 (python3) total-vm:900kB
3,814,x;broken
"""
BOOTED = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_the_kernels_kills_are_read_with_their_time_and_whose_memory_was_used_up() -> None:
    assert list(kills(iter(RECORDS.splitlines()), BOOTED)) == [
        OomKill(BOOTED + MINUTE, 4021, "redis-server", limit=False),
        OomKill(BOOTED + timedelta(seconds=61), 77, "python3", True, "/system.slice/shop.service"),
    ]


def test_a_kernel_log_that_this_user_may_not_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(OpsError, match="cannot read the kernel's log"):
        oom_kills(tmp_path / "kmsg")


def test_a_kill_is_of_the_service_whose_program_it_was(project: MemoryProject) -> None:
    def look() -> tuple[OomKill, ...]:
        return tuple(kills(iter(RECORDS.splitlines()), BOOTED))

    stack = project.stack()
    services = tuple(
        replace(s, binary="/usr/bin/redis-server") if s.name == "redis" else s
        for s in stack.topology.services
    )
    stack = replace(stack, topology=replace(stack.topology, services=services))
    material = seen.kernel(stack, Subject(BOOTED), BOOTED, BOOTED + 2 * MINUTE, look)
    assert [(change.kind, change.service) for change in material.changes] == [
        ("oom", "redis"),
        ("oom", "shop.service"),
    ]
    assert seen.kernel(stack, Subject(BOOTED), BOOTED + 5 * MINUTE, BOOTED + 9 * MINUTE, look).changes == ()


def test_evidence_is_worded_in_the_language_of_the_stack(project: MemoryProject) -> None:
    project.up()
    now = datetime.now(UTC) + MINUTE
    for locale, word in (("en", "by alice"), ("ja", "alice")):
        read_applies = own_readers(project.stack(locale=locale))["applies"]
        text = read_applies(Subject(now), now - MINUTE, now).changes[0].text
        assert word in text
        assert type(text) is str


def test_the_job_gives_the_app_what_was_read_in_a_folder_that_nobody_else_reads(
    project: MemoryProject,
) -> None:
    project.up()
    told: list[str] = []
    stack = project.stack(investigate={})
    result = own.job(JobContext(stack.layout, lambda: stack, project.history, told.append))
    file = stack.layout.config / "app" / "evidence" / "stack.json"
    material = material_of(json.loads(file.read_text()))
    assert "適用" in material.read, "in the language of the stack"
    assert any(change.kind == "apply" for change in material.changes)
    assert stat.S_IMODE(file.parent.stat().st_mode) & 0o007 == 0
    assert "sources were read" in result.summary
