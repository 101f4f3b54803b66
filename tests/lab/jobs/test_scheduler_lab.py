"""The scheduler as a service: missed where it hangs, fixed by one command, stopped whatever it does.

That it runs, is seen and tells that it is alive: tests/lab/engines/test_native_engine_lab.py.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import time
from collections.abc import Iterator

import psutil
import pytest
from projects import Project, only_redis, project
from rows import each_row
from servers import wait_for

from techsapo_ops.adapters.textfile import Sample, write_textfile
from techsapo_ops.services.scheduler.heartbeat import METRIC, SILENT_SECONDS

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def stack() -> Iterator[Project]:
    with project(only_redis()) as made:
        made.run("up")
        yield made


def scheduler(made: Project) -> psutil.Process:
    pid = made.pids()["scheduler"]
    assert pid is not None
    return psutil.Process(pid)


def silent_for(made: Project, seconds: float) -> None:
    """As if that time had passed since its last heartbeat."""
    write_textfile(made.layout.textfiles, "scheduler", [Sample(METRIC, time.time() - seconds)])


def part(made: Project) -> dict[str, str]:
    (found,) = [p for p in made.health()["probes"] if p["name"] == "scheduler"]
    return {key: found[key] for key in ("status", "detail", "hint")}


@pytest.mark.nightly  # by day `tests/unit/engines/test_bounded_stop.py` has the deadline
@each_row("what", ["its run", "supervisor"])
def test_down_ends_by_its_deadline_with_0_whatever_hangs(what: str) -> None:
    """A run that took longer than 10 s to end, as on a busy machine, made `down` fail."""
    with project(only_redis()) as made:
        made.run("up", timeout=180)
        if what == "supervisor":
            made.supervisor().suspend()
        else:
            suspend_a_run(made)
        made.run("down")
        made.assert_gone()


def suspend_a_run(made: Project) -> None:
    """Let the scheduler make up for a run that was missed, and suspend what runs it."""
    made.run("jobs", "run", "costs")
    record = made.state / "jobs/costs/000001.json"
    old = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps({**old, "started": "2026-01-01T00:00:00+00:00"}), encoding="utf-8")
    starting = made.popen("restart", "scheduler")
    runs: list[psutil.Process] = []

    def suspended() -> bool:
        runs.extend(p for p in made.members() if "--by" in p.cmdline() and "costs" in p.cmdline())
        for run in runs:
            os.kill(run.pid, signal.SIGSTOP)
        return bool(runs)

    wait_for(suspended, timeout=60, what="a run")
    starting.communicate(timeout=60)
    assert [run for run in runs if run.status() == psutil.STATUS_STOPPED]


@pytest.mark.nightly  # by day `tests/core/test_jobs.py` has one that is stopped
def test_one_that_hangs_is_missed_and_the_command_that_health_names_fixes_it(stack: Project) -> None:
    hung = scheduler(stack)
    hung.suspend()
    assert part(stack)["status"] == "healthy"
    silent_for(stack, SILENT_SECONDS)
    assert stack.health()["status"] == "degraded"
    assert "next: techsapo restart scheduler" in stack.run("status", code=1).stderr
    found = part(stack)
    assert found["status"] == "down"
    told = re.search(r"no heartbeat for (\d+)", found["detail"])
    assert told is not None, found["detail"]
    assert SILENT_SECONDS <= int(told[1]) < SILENT_SECONDS + 60
    command = shlex.split(found["hint"].strip("`"))
    assert command == ["techsapo", "restart", "scheduler"]
    stack.run(*command[1:])
    assert not hung.is_running()
    assert part(stack)["status"] == "healthy"
