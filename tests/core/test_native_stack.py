"""One spec becomes a running native stack: started in order, healed when killed, gone after `down`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import Project, project, small_spec
from servers import http_ok, tcp_open, wait_for

pytestmark = pytest.mark.needs("redis-server", "prometheus", "prometheus-alertmanager")


@pytest.fixture(scope="module")
def stack() -> Iterator[Project]:
    with project(small_spec()) as made:
        made.run("up")
        yield made


def test_up_starts_every_service_and_its_table_says_where(stack: Project) -> None:
    services = stack.services()
    assert sorted(services) == ["alertmanager", "app", "prometheus", "redis", "scheduler"]
    assert list(services).index("redis") < list(services).index("app"), "the app needs Redis"
    assert all(
        http_ok(f"http://127.0.0.1:{stack.spec['app']['port']}{path}") for path in ("/ping", "/metrics")
    )
    table = stack.run("up").stdout
    assert f"http://localhost:{stack.spec['app']['port']}" in table


def test_a_second_up_changes_nothing_and_plan_ends_with_0(stack: Project) -> None:
    before = stack.pids()
    assert "up to date" in stack.run("up").stderr
    assert stack.pids() == before
    assert stack.run("plan").stdout == "up to date\n"


def test_a_killed_service_is_started_again_and_counted(stack: Project) -> None:
    before = stack.services()["redis"]
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    port = stack.spec["redis"]["port"]

    def healed() -> bool:
        now = stack.services()["redis"]
        return now.pid not in {None, before.pid} and now.restarts == before.restarts + 1

    wait_for(healed, what="redis again")
    wait_for(lambda: tcp_open(port), what="redis answers")


@contextlib.contextmanager
def open_by_another_user(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has `path` open; of another user where root is there to start it."""
    user = 65534 if os.geteuid() == 0 else None
    with path.open("rb") as file:
        process = subprocess.Popen(["sleep", "60"], pass_fds=[file.fileno()] if user else [], user=user)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_down_leaves_no_process_no_port_and_says_so_when_nothing_runs(stack: Project) -> None:
    with open_by_another_user(stack.state / "run" / "members" / "redis") as foreign:
        assert "redis" in stack.run("down").stderr
        assert foreign.poll() is None, "a process of somebody else's that has a member file open lives on"
    stack.assert_gone()
    assert "nothing to stop" in stack.run("down").stderr
    listed = json.loads(stack.run("ps", "--json").stdout)
    assert (listed["running"], listed["services"]) == (False, [])
