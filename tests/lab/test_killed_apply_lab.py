"""kill -9 of `techsapo` at every step of an apply; the next `up` or `rollback` completes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from projects import Project, only_redis, project
from servers import tcp_open

from techsapo_ops.operations.ledger import Entry, Ledger

pytestmark = pytest.mark.lab

FAULT_POINT = Path(__file__).with_name("fault_point.py")
_numbers = count(1)


@pytest.fixture(scope="module")
def stack() -> Iterator[Project]:
    with project(only_redis(engine="native")) as made:
        made.run("up")
        yield made


def change_redis(stack: Project, setting: str = "") -> str:
    """Another redis.conf, so that Redis alone is restarted; returns its mark."""
    mark = f"# mark {next(_numbers)} #"
    template = stack.directory / "templates" / "redis" / "redis.conf.j2"
    template.parent.mkdir(parents=True, exist_ok=True)
    template.write_text(
        f'{{% extends "builtin/redis/redis.conf.j2" %}}{{% block extra %}}{setting}\n{mark}{{% endblock %}}\n'
    )
    return mark


def configuration(stack: Project) -> str:
    return (stack.state / "generated" / "redis" / "redis.conf").read_text()


def killed_at(stack: Project, point: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, str(FAULT_POINT), point, *arguments],
        cwd=stack.directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr


def applies(stack: Project) -> tuple[Entry, ...]:
    return Ledger(stack.state).entries()


POINTS = {
    "begun": "before any file was written",
    "writing": "before any file was written",
    "files": "after the files were written",
    "prepared": "before the first service",
    "services": "while services were changed (done: redis)",
    "read-back": "while reading back",
}


@pytest.mark.parametrize("point", POINTS)
def test_an_up_that_was_killed_is_completed_by_the_next_one(stack: Project, point: str) -> None:
    mark = change_redis(stack)
    killed_at(stack, point, "up")
    assert stack.services()["app"].state == "running"
    done = stack.run("up", "--verbose")
    assert "completing it" in done.stderr
    assert mark in configuration(stack)
    *_, interrupted, last = applies(stack)
    assert (interrupted.result, last.result) == ("failed", "ok")
    assert POINTS[point] in interrupted.reason
    assert tcp_open(stack.spec["redis"]["port"])
    assert not (stack.state / "ledger" / "journal.json").exists()


def test_after_all_that_nothing_is_pending_and_nothing_has_drifted(stack: Project) -> None:
    stack.run("plan")
    stack.run("drift")


@pytest.mark.parametrize("point", ["writing", "prepared", "read-back"])
def test_an_up_that_was_killed_is_undone_by_rollback(stack: Project, point: str) -> None:
    before, good = configuration(stack), Ledger(stack.state).current()
    change_redis(stack)
    killed_at(stack, point, "up")
    assert "interrupted" in stack.run("drift", code=100).stdout
    done = json.loads(stack.run("rollback", "--yes", "--json").stdout)
    assert good is not None
    assert done["to"] == good.id
    assert configuration(stack) == before
    assert applies(stack)[-1].result == "ok"


def test_an_apply_that_was_killed_after_its_record_is_recorded_once(stack: Project) -> None:
    change_redis(stack)
    killed_at(stack, "recorded", "up")
    recorded = applies(stack)
    assert recorded[-1].result == "ok"
    assert "up to date" in stack.run("up").stderr
    assert not (stack.state / "ledger" / "journal.json").exists()
    assert applies(stack) == recorded


def test_a_kill_on_the_way_back_is_completed_by_rollback(stack: Project) -> None:
    before, pids = configuration(stack), stack.pids()
    change_redis(stack, "io-threads none")
    killed_at(stack, "going-back", "up", "--timeout", "10")
    stack.run("rollback", "--yes")
    assert configuration(stack) == before
    assert tcp_open(stack.spec["redis"]["port"])
    assert stack.pids()["app"] == pids["app"]
    change_redis(stack)
    stack.run("up")


def test_a_rollback_that_was_killed_is_completed_by_the_next_one(stack: Project) -> None:
    first = configuration(stack)
    change_redis(stack)
    stack.run("up")
    target = applies(stack)[-2].id
    killed_at(stack, "files", "rollback", f"@{target}", "--yes")
    stack.run("rollback", f"@{target}", "--yes")
    assert configuration(stack) == first


@pytest.mark.parametrize("after", [0.6, 1.1])
def test_a_kill_at_any_moment_is_recovered_from(stack: Project, after: float) -> None:
    mark = change_redis(stack)
    process = stack.popen("up")
    time.sleep(after)
    process.kill()
    process.communicate()
    stack.run("up")
    assert mark in configuration(stack)
    assert tcp_open(stack.spec["redis"]["port"])
