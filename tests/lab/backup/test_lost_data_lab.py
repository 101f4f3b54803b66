"""Data that is deleted under a real stack: nothing is made in its place unasked; a backup brings it back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest
import redis as client
from orchestrator import QUICK
from projects import Project, only_redis, project
from servers import free_port

pytestmark = pytest.mark.lab

PASSWORD = "planted-redis-secret"
SPENT = {"daily_usd": 100.0, "monthly_usd": 1000.0, "count_simulated": True}


@pytest.fixture(scope="module")
def lab() -> Iterator[Project]:
    spec = only_redis(
        engine="native", mysql={"port": free_port()}, providers=QUICK, budget=SPENT, schedule={"by": "none"}
    )
    spec["redis"]["password"] = PASSWORD
    with project(spec) as made:
        made.run("up", timeout=180)
        for n in range(3):
            made.run("ask", f"502 {n}")
        made.run("up")
        yield made


def test_a_budget_whose_redis_lost_its_keys_goes_on_from_the_audit_log(lab: Project) -> None:
    lab.run("ask", "502 again")
    before = json.loads(lab.popen("status", "--json").communicate(timeout=60)[0])["budget"]
    with client.Redis(port=lab.spec["redis"]["port"], password=PASSWORD) as link:
        link.flushall()
    lab.run("restart", "app")
    after = json.loads(lab.popen("status", "--json").communicate(timeout=60)[0])["budget"]
    assert after == before


def test_data_that_is_deleted_is_told_refused_and_brought_back(lab: Project) -> None:
    backup = json.loads(lab.run("backup", "--json").stdout)["id"]
    lab.run("down")
    shutil.rmtree(lab.state / "data" / "mysql")
    planned = lab.run("plan", code=1)
    assert "MariaDB's data is gone (" in planned.stdout
    assert " rows)" in planned.stdout

    refused = lab.run("up", code=1)
    assert "MariaDB's data is gone (" in refused.stderr
    assert f"techsapo restore {backup}" in refused.stderr
    assert "techsapo up --empty" in refused.stderr
    assert not (lab.state / "data" / "mysql").exists()
    assert not lab.pids(), "nothing was started"

    lab.run("up", "--empty", "--yes", timeout=180)
    lab.run("restore", backup, "--yes")
    lab.run("plan")
    assert "up --empty" in lab.run("audit", "show").stdout


def test_a_folder_that_is_deleted_under_running_servers_is_told_and_refused(lab: Project) -> None:
    lab.well()
    shutil.rmtree(lab.state / "data" / "redis")
    assert "Redis's data is gone (" in lab.run("plan", code=1).stdout
    parts = {part["name"]: part for part in lab.health()["probes"]}
    assert "Redis's data is gone (" in parts["data"]["detail"]
    assert "Redis's data is gone (" in lab.popen("status").communicate(timeout=60)[0]
    before = lab.pids()
    lab.run("up", "--yes", code=1)
    assert lab.pids() == before, "nothing was stopped"
    lab.run("jobs", "run", "drift")
    told = (lab.layout.textfiles / "drift.prom").read_text()
    assert 'techsapo_data_missing{name="drift",service="redis"} 1.0' in told
    with client.Redis(port=lab.spec["redis"]["port"], password=PASSWORD) as link:
        link.config_set("shutdown-on-sigterm", "nosave")  # it has no folder to save into, and would not end
    lab.run("up", "--empty", "--yes")
    lab.well()
    lab.run("jobs", "run", "drift")
    assert 'service="redis"} 0.0' in (lab.layout.textfiles / "drift.prom").read_text()
