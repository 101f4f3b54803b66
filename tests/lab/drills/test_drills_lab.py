"""Drills on one live native stack: what they find, what stops them, and what they leave behind."""

from __future__ import annotations

import json
import os
import signal
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from projects import Project, project, small_spec
from servers import free_port, wait_for

from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.engines.native import members

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    hooks = f"http://127.0.0.1:{free_port()}/"  # nobody listens there: what is sent, fails
    spec = small_spec(engine="native", nginx={"listen": free_port()}, locale="en")
    spec["app"] = {
        "drain": "0s",
        "instances": [{"port": free_port(), "weight": 3}, {"port": free_port(), "weight": 2}],
    }
    spec["monitoring"]["prometheus"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    spec["monitoring"]["alertmanager"] |= {"group_wait": "1s"}
    away = tmp_path_factory.mktemp("away")
    (away / "password").write_text("the repository's own")
    (away / "password").chmod(0o600)
    spec["backup"] = {
        "offsite": {"restic": str(away / "repository"), "password_file": str(away / "password")}
    }
    spec["notifications"] = {"critical": [{"kind": "webhook", "url": hooks}]}
    with project(spec) as made:
        made.run("up")
        made.well()
        yield made


@pytest.fixture(scope="module")
def backup(stack: Project) -> None:
    """One that restores and recoveries are drilled with, here and off-site."""
    stack.run("backup")


def drilled(stack: Project, *words: str, code: int = 0) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(stack.run("drill", *words, "--json", code=code, timeout=300).stdout)
    return said


def phases(report: dict[str, Any]) -> dict[str, float | None]:
    return {phase["name"]: phase["seconds"] for phase in report["phases"]}


def series(stack: Project, name: str) -> float:
    """The sum of a metric over both instances."""
    total = 0.0
    for instance in stack.spec["app"]["instances"]:
        with urllib.request.urlopen(f"http://127.0.0.1:{instance['port']}/metrics", timeout=60) as answer:
            for line in answer.read().decode().splitlines():
                if line.startswith(name):
                    total += float(line.rpartition(" ")[2])
    return total


def test_the_busiest_instance_is_killed_and_what_users_notice_is_told(stack: Project) -> None:
    before = stack.pids()
    report = drilled(stack, "failover-app", "--yes", "--rate", "20")
    after = stack.pids()
    assert report["ok"], report["missed"]
    assert {n for n in after if after[n] != before[n]} == {"app-1"}
    took = phases(report)
    assert took["failover"] is not None
    assert took["recovery"] is not None
    counts = report["counts"]
    assert counts["sent"] > 50
    assert counts["doubled"] == counts["unfinished"] == counts["lost_writes"] == 0
    assert counts["answered"] + counts["failed"] == counts["sent"]
    assert sum(good for good, _ in report["columns"]) >= counts["answered"]
    page = Path(report["file"]).read_text(encoding="utf-8")
    assert "Report of a drill: failover-app" in page
    assert "↑ killed" in page
    listed = json.loads(stack.run("drill", "list", "--json").stdout)["drills"]
    assert listed[-1]["id"] == report["id"]
    assert "app-1 (weight 3)" in stack.run("drill", "show").stdout
    recorded = stack.run("audit", "show", "--json").stdout
    assert "drill failover-app" in recorded
    # Users' own series know nothing of it.
    assert series(stack, "techsapo_drill_requests_total") > 0
    assert series(stack, 'techsapo_http_requests_total{method="POST",route="/api/v1/drill"') == 0
    costs = json.loads(stack.run("costs", "--json").stdout)
    assert costs["requests"] == 0


def test_it_is_not_begun_while_another_techsapo_is_at_work(stack: Project) -> None:
    before = stack.pids()
    with exclusive(stack.state / "lock"):
        refused = stack.run("drill", "failover-app", "--yes", code=1)
    assert "is at work" in refused.stderr
    assert stack.pids() == before
    assert not stack.run("drill", "failover-app", code=1).stdout  # nobody said --yes
    stack.run("maintenance", "on", "--message", "new disk")
    closed = stack.run("drill", "failover-app", "--yes", code=1)
    stack.run("maintenance", "off")
    assert "not begun: maintenance since" in closed.stderr
    assert stack.pids() == before


def test_it_is_not_begun_with_a_single_instance_left(stack: Project) -> None:
    pid = stack.pids()["app-2"]
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        refused = stack.run("drill", "failover-app", "--yes", code=1)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert "app-2 is not ready" in refused.stderr
    assert stack.pids()["app-2"] == pid


def test_it_is_stopped_when_the_other_instance_fails(stack: Project) -> None:
    stack.well()
    before = stack.pids()
    process = stack.popen("drill", "failover-app", "--yes", "--json")
    lines: list[str] = []
    assert process.stderr is not None
    for line in process.stderr:
        lines.append(line)
        if "was killed" in line:
            break
    pid = before["app-2"]
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    ending = threading.Timer(8, os.kill, (pid, signal.SIGCONT))
    ending.start()
    stdout, stderr = process.communicate(timeout=120)
    ending.join()
    assert process.returncode == 1, (lines, stdout, stderr)
    report = json.loads(stdout)
    assert "app-2 is not ready" in report["stopped"]
    assert "stopped" in report["missed"]
    wait_for(lambda: stack.pids()["app-1"] not in {None, before["app-1"]}, what="app-1 again")
    stack.well()


def test_a_drill_that_is_killed_leaves_nothing_armed(stack: Project) -> None:
    stack.well()
    process = stack.popen("drill", "failover-app", "--yes", "--json")
    assert process.stderr is not None
    for line in process.stderr:
        if "was killed" in line:
            break
    process.kill()
    process.communicate(timeout=60)
    stack.well()  # the engine has brought it back
    with exclusive(stack.state / "lock"), exclusive(stack.state / "drill.lock"):
        pass
    assert json.loads(stack.run("drill", "list", "--json").stdout)["drills"]


def test_an_alert_goes_its_whole_way_and_ends(stack: Project) -> None:
    report = drilled(stack, "alert")
    took = phases(report)
    assert report["ok"], report
    assert took["detection"] is not None
    assert took["handed_on"] is not None
    assert report["facts"]["watchdog"].startswith("fires")
    assert any("there are none" in note for note in report["notes"])
    wait_for(
        lambda: (
            not [
                a
                for a in stack.ask("prometheus", "api/v1/alerts")["data"]["alerts"]
                if a["labels"]["alertname"] == "Drill"
            ]
        ),
        what="the alert's end",
    )


@pytest.mark.usefixtures("backup")
def test_a_missed_objective_of_a_restore_is_exit_1(stack: Project) -> None:
    stack.write(objectives={"data": "1ms"})
    missed = drilled(stack, "restore", code=1)
    assert missed["missed"] == ["data"]
    text = (stack.state / "textfile" / "drills.prom").read_text(encoding="utf-8")
    assert 'techsapo_drill_last_success{drill="restore",name="drills"} 0.0' in text
    stack.write(objectives={})


@pytest.mark.usefixtures("backup")
def test_the_whole_stack_is_recovered_beside_the_live_one_and_is_gone_again(stack: Project) -> None:
    before = stack.pids()
    report = drilled(stack, "recover")
    assert report["ok"], report
    assert phases(report)["data"] is not None
    assert report["facts"]["health"] == "healthy"
    assert stack.pids() == before
    assert not list(stack.state.glob("drill-*"))


def scratch_members(stack: Project) -> list[psutil.Process]:
    """Every process of the copies that drills have made."""
    states = [folder / "stack" / ".techsapo" for folder in stack.state.glob("drill-*")]
    return [process for state in states for process in members.find(state, state / "run")]


@pytest.mark.usefixtures("backup")
def test_a_drill_of_a_recovery_that_is_killed_is_cleaned_up_by_the_next_drill_which_is_timed(
    stack: Project,
) -> None:
    process = stack.popen("drill", "recover")
    wait_for(lambda: len(scratch_members(stack)) > 1, what="the scratch copy")
    process.kill()
    process.communicate(timeout=60)
    left = scratch_members(stack)
    assert left
    done = stack.run("drill", "restore", "--json", timeout=300)
    assert "it is removed" in done.stderr
    report = json.loads(done.stdout)
    assert report["ok"], report
    assert phases(report)["data"] is not None
    assert report["counts"]["lost_seconds"] >= 0
    assert not list(stack.state.glob("drill-*"))
    psutil.wait_procs(left, timeout=60)
    assert not [each for each in left if each.is_running()]
