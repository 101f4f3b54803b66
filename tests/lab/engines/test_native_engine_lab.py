"""The native engine with real servers, through the command line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
from collections.abc import Iterator

import psutil
import pytest
from projects import Project, only_redis, project, small_spec
from servers import tcp_open, wait_for
from terminal import typed

from techsapo_ops.adapters.textfile import read_textfile

pytestmark = pytest.mark.lab


NAME = "監視 スタック の とても 長い プロジェクト フォルダ " + "x" * 40


@pytest.fixture(scope="module")
def stack() -> Iterator[Project]:
    spec = small_spec()
    spec["monitoring"]["prometheus"]["scrape_interval"] = "1s"
    with project(spec, NAME) as made:
        made.environment["OPENAI_API_KEY"] = "sk-of-the-shell"
        made.run("up")
        del made.environment["OPENAI_API_KEY"]
        yield made


def heartbeat(made: Project) -> float:
    return max((s.value for s in read_textfile(made.layout.textfiles, "scheduler")), default=0.0)


@pytest.fixture(scope="module", autouse=True)
def first_heartbeat(stack: Project) -> float:
    """Noted at the start, as the next one comes within a quarter of a minute."""
    return heartbeat(stack)


def test_a_service_has_a_path_and_no_key_of_the_shell(stack: Project) -> None:
    assert len(stack.members()) == len(stack.pids()) + 2, (
        "the supervisor, housekeeping and one process a service"
    )
    environment = psutil.Process(stack.pids()["app"]).environ()
    assert ("OPENAI_API_KEY" in environment, "PATH" in environment) == (False, True)


def test_logs_of_all_services_are_merged_filtered_and_followed(stack: Project) -> None:
    merged = [json.loads(line) for line in stack.run("logs", "-n", "0", "--json").stdout.splitlines()]
    assert {"redis", "prometheus", "app"} <= {line["service"] for line in merged}
    times = [line["time"] for line in merged if line["time"]]
    assert len(times) > 10
    found = stack.run("logs", "redis", "--grep", "Ready to accept", "-n", "1").stdout
    assert found.count("Ready to accept") == 1
    follower = stack.popen("logs", "redis", "-f", "-n", "1", "--json")
    assert follower.stdout is not None
    follower.stdout.readline()
    stack.run("restart", "redis")
    assert "redis" in follower.stdout.readline()
    follower.send_signal(signal.SIGINT)
    assert follower.wait(60) == 130


def test_services_run_as_their_own_users_where_root_starts_them(stack: Project) -> None:
    own = psutil.Process().username()
    users = {name: psutil.Process(pid).username() for name, pid in stack.pids().items()}
    assert users["redis"] == ("redis" if os.geteuid() == 0 else own)
    assert users["prometheus"] == users["alertmanager"] == ("prometheus" if os.geteuid() == 0 else own)


def test_status_reads_every_part_and_ends_as_health_does(stack: Project) -> None:
    stack.run("backup")
    stack.well()
    told = json.loads(stack.run("status", "--json").stdout)
    assert told["unread"] == {}
    assert told["status"] == "healthy"
    assert {s["service"]: s["state"] for s in told["services"]} == dict.fromkeys(stack.services(), "running")
    assert told["backups"]["count"] == 1
    assert told["drift"] == {"against": told["versions"]["apply"], "findings": []}
    assert told["alerts"]["untold"] is None
    assert {job["name"] for job in told["jobs"]} >= {"backup", "drift", "costs"}
    code, screen = typed(stack, "status")
    assert code == 0
    assert "services       5 of 5 running" in screen
    assert "no backup has been restored as a test yet" in screen


def test_the_scheduler_is_a_service_like_the_others_and_tells_again_and_again_that_it_is_alive(
    stack: Project, first_heartbeat: float
) -> None:
    assert "is due" in stack.run("logs", "scheduler").stdout
    (found,) = [p for p in stack.health()["probes"] if p["name"] == "scheduler"]
    assert found["status"] == "healthy"
    wait_for(lambda: heartbeat(stack) > first_heartbeat, what="the next heartbeat")


def test_up_after_a_killed_supervisor_starts_all_anew_but_what_was_stopped_until_start(
    stack: Project,
) -> None:
    before = stack.pids()
    said = stack.run("stop", "redis").stderr
    assert "depend on a stopped service: app" in said
    assert not tcp_open(stack.spec["redis"]["port"])
    again = stack.run("up").stderr
    assert "redis: stopped by " in again
    assert "`techsapo start redis` starts it" in again
    assert stack.run("plan").stdout == "up to date\n"
    assert stack.findings(code=0) == {}
    assert "redis: stopped by " in stack.run("ps").stderr
    listed = {s["service"]: s for s in json.loads(stack.run("ps", "--json").stdout)["services"]}
    assert (listed["redis"]["state"], listed["app"]["stopped"]) == ("stopped", None)
    assert listed["redis"]["stopped"]["by"]
    stack.supervisor().kill()
    wait_for(lambda: not stack.members(), what="services ended with their supervisor")
    assert {s.state for s in stack.services().values()} == {"stopped"}
    stack.run("up")
    assert stack.services()["redis"].state == "stopped"
    assert "redis was stopped by " in stack.run("restart", "redis", code=1).stderr
    assert {p["name"]: p["hint"] for p in stack.health()["probes"]}["redis"] == "`techsapo start redis`"
    stack.run("start")
    after = stack.pids()
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())
    assert tcp_open(stack.spec["redis"]["port"])
    assert "no service is stopped" in stack.run("start").stderr
    stack.well()


def test_exec_runs_a_program_as_the_service_without_what_the_caller_has_in_its_environment(
    stack: Project,
) -> None:
    stack.environment["OPENAI_API_KEY"] = "sk-of-the-shell"
    try:
        shown = stack.run("exec", "redis", "sh", "-c", "id -un; pwd; env", code=0).stdout
    finally:
        del stack.environment["OPENAI_API_KEY"]
    own = psutil.Process().username()
    user, folder = shown.splitlines()[:2]
    assert user == ("redis" if os.geteuid() == 0 else own)
    assert folder == str(stack.state / "data" / "redis")
    assert "sk-of-the-shell" not in shown
    stack.run("exec", "app", "sh", "-c", "exit 7", code=7)
    assert "cannot run nonsense" in stack.run("exec", "app", "nonsense", code=1).stderr
    assert stack.run("exec", "postgres", code=2).stderr.startswith("error: there is no service postgres")


def test_a_port_of_someone_else_is_named_with_its_holder() -> None:
    with project(only_redis()) as made, socket.socket() as other:
        other.bind(("127.0.0.1", made.spec["redis"]["port"]))
        other.listen()
        failed = made.run("up", code=1)
        assert f"redis can't use port {made.spec['redis']['port']}" in failed.stderr
        assert f"pid {os.getpid()}" in failed.stderr
        assert "app was not started: it needs redis" in failed.stderr


def test_a_service_that_keeps_ending_is_told_with_its_last_lines() -> None:
    with project(only_redis()) as made:
        (made.state / "data" / "redis").mkdir(parents=True)
        (made.state / "data" / "redis" / "dump.rdb").write_bytes(b"not a dump at all")
        failed = made.run("up", code=1)
        assert "redis did not become ready" in failed.stderr
        assert "Wrong signature" in failed.stderr
        assert "the process exited, " in failed.stderr, "its exit code is not known"
        assert made.services()["redis"].state in {"backoff", "crashed"}
        (made.state / "data" / "redis" / "dump.rdb").unlink()
        made.run("up")
        assert made.services()["redis"].state in {"running", "starting"}
        made.run("down", "--volumes", code=1)
        assert made.pids(), "without --yes nothing is stopped"
        made.run("down", "--volumes", "--yes")
        made.assert_gone()
        assert not (made.state / "data").exists()


def test_two_projects_with_blanks_and_japanese_in_long_paths_run_side_by_side(stack: Project) -> None:
    running = stack.pids()
    with project(only_redis(), NAME) as another:
        another.run("up")
        assert stack.pids() == running
        assert "up to date" in stack.run("up").stderr
        shutil.rmtree(another.state)
        another.run("down")
        another.assert_gone()
    assert stack.pids() == running, "`down` without a state directory ends its own services alone"
    assert "up to date" in stack.run("up").stderr
