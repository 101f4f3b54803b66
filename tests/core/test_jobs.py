"""The stack's own scheduler runs a job that is due, writes it down, and is seen to live."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from projects import Project, only_redis, project
from servers import wait_for

pytestmark = pytest.mark.needs("redis-server")


@pytest.fixture(scope="module")
def stack() -> Iterator[Project]:
    with project(only_redis()) as made:
        made.run("up")
        yield made


def runs(stack: Project) -> list[dict[str, Any]]:
    """The runs of the job costs, the newest first."""
    found: list[dict[str, Any]] = json.loads(stack.run("jobs", "history", "costs", "--json").stdout)["runs"]
    return found


def test_a_run_that_was_missed_is_made_up_for_and_written_down(stack: Project) -> None:
    stack.run("jobs", "run", "costs")
    record = stack.state / "jobs/costs/000001.json"
    old = json.loads(record.read_text(encoding="utf-8"))
    record.write_text(json.dumps({**old, "started": "2026-01-01T00:00:00+00:00"}), encoding="utf-8")
    stack.run("restart", "scheduler")
    wait_for(lambda: [r["result"] for r in runs(stack)] == ["ok", "ok"], what="the run that was missed")
    assert (runs(stack)[0]["by"], runs(stack)[0]["exit_code"]) == ("service", 0)
    assert "job costs is due" in stack.run("logs", "scheduler").stdout
    metrics = (stack.layout.textfiles / "costs.prom").read_text(encoding="utf-8")
    assert 'techsapo_job_last_exit_code{name="costs"} 0' in metrics


def test_a_scheduler_that_is_stopped_is_missed_and_one_that_is_killed_comes_back(stack: Project) -> None:
    def status() -> str:
        (found,) = [p for p in stack.health()["probes"] if p["name"] == "scheduler"]
        return str(found["status"])

    assert status() == "healthy"
    stack.run("stop", "scheduler")
    assert status() == "down"
    stack.run("start", "scheduler")
    before = stack.pids()["scheduler"]
    assert before is not None
    psutil.Process(before).kill()
    wait_for(lambda: stack.pids()["scheduler"] not in {None, before}, what="another one")
    assert status() == "healthy"
