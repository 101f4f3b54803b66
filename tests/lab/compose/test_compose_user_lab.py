"""A caller who is not root, but may use Docker: a stack with secrets, its jobs, and its log in a volume."""

from __future__ import annotations

import grp
import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator

import pytest
from container_data import grafana_logins, grafana_stand_in
from docker_lab import DockerLab, container_ids, docker, docker_project, left_over
from projects import Project, another_user, only_redis
from servers import free_port, wait_for

pytestmark = pytest.mark.lab

PROJECT = f"lab-user-{os.getpid()}"
UID = 64321


@pytest.fixture(scope="module")
def stack(lab_images: DockerLab) -> Iterator[Project]:
    spec = only_redis(project=PROJECT, nginx={"enabled": False})
    spec["redis"]["password"] = "planted-redis-secret"
    spec["monitoring"]["grafana"] = {"port": free_port()}
    spec["images"] = {"grafana": grafana_stand_in(lab_images)}
    spec["backup"] = {"offsite": {"restic": "遠く far", "password": "restic's own"}}
    spec["investigate"] = {}
    with docker_project(lab_images, spec, "利用者 one") as made:
        made.directory.parent.chmod(0o755)
        for path in (made.directory, made.directory / "techsapo.yaml"):
            os.chown(path, UID, UID)
        made.environment = {"HOME": str(made.directory)}
        made.launcher = another_user(UID, groups=str(grp.getgrnam("docker").gr_gid))
        made.run("up", timeout=200)
        yield made


def owners(stack: Project) -> set[int]:
    return {path.stat().st_uid for path in stack.state.rglob("*")}


def test_the_state_is_the_callers_and_each_service_reads_the_secret_that_is_its_own(stack: Project) -> None:
    assert owners(stack) == {UID}

    def cached() -> bool:
        url = f"http://127.0.0.1:{stack.spec['app']['port']}/api/v1/health"
        with urllib.request.urlopen(url, timeout=60) as answer:
            cache = json.load(answer)["dependencies"]["cache"]
        return (cache["status"], cache["in_use"]) == ("healthy", "redis")

    wait_for(cached, what="the app logged in to Redis with the secret that it alone reads")
    assert stack.findings(code=0) == {}
    stack.write(redis={**stack.spec["redis"], "password": "another"})
    stack.run("up", "--yes", timeout=100)
    wait_for(cached, what="the app with the new secret")


def test_a_job_works_as_the_caller_and_goes_off_site(stack: Project) -> None:
    stack.run("jobs", "run", "backup")
    checks = json.loads(stack.run("backup", "show", "--json").stdout)["checks"]
    assert checks["offsite"]["ok"] is True
    assert owners(stack) == {UID}
    (run,) = json.loads(stack.run("jobs", "history", "backup", "--json").stdout)["runs"]
    assert (run["result"], run["user"]) == ("ok", f"uid {UID}")


def test_the_app_alone_reads_what_it_can_not_see_of_its_stack(stack: Project) -> None:
    stack.run("jobs", "run", "evidence")
    path = "/etc/techsapo/app/evidence/stack.json"
    left = json.loads(docker("exec", container_ids(PROJECT)["app"], "cat", path).stdout)
    assert any("@1" in change["text"] for change in left["changes"] if change["kind"] == "apply")
    assert docker("exec", container_ids(PROJECT)["app"], "touch", path, check=False).returncode != 0
    folder = next(stack.state.rglob("evidence/stack.json")).parent
    another = ("setpriv", f"--reuid={UID + 1}", f"--regid={UID + 1}", "--clear-groups", "ls", str(folder))
    assert b"Permission denied" in subprocess.run(another, capture_output=True, check=False).stderr
    assert owners(stack) == {UID}


@pytest.mark.nightly
def test_grafanas_database_goes_off_site_out_of_its_volume_and_comes_back_by_name(stack: Project) -> None:
    assert "Grafana has no database yet" in stack.run("backup", "--only", "grafana", code=1).stderr
    users = "CREATE TABLE user (id INTEGER PRIMARY KEY, login TEXT); INSERT INTO user (login) VALUES ('one');"
    assert grafana_logins(stack, users) == ["one"]
    kept = json.loads(stack.run("backup", "--only", "config", "--json").stdout)["id"]
    assert grafana_logins(stack, "INSERT INTO user (login) VALUES ('two');") == ["one", "two"]
    container = container_ids(PROJECT)["grafana"]
    stack.run("restore", kept, "--only", "grafana", "--yes")
    assert grafana_logins(stack) == ["one"]
    owner = docker("exec", container, "stat", "-c", "%u %a", "/var/lib/grafana/grafana.db").stdout
    assert owner.split() == ["472", "600"]
    assert container_ids(PROJECT)["grafana"] == container


@pytest.mark.nightly
def test_the_log_of_an_instance_that_was_scaled_away_is_read_backed_up_and_comes_back(stack: Project) -> None:
    def requests() -> int:
        return int(json.loads(stack.run("answers", "costs", "--json").stdout)["requests"])

    stack.run("ask", "Dockerコンテナが起動しない", "--json")
    instances = [{"port": free_port()}, {"port": free_port()}]
    stack.write(app={"drain": "0s", "instances": instances}, backup={}, investigate=None)
    stack.run("up", "--yes", timeout=200)
    assert {"app-1", "app-2"} < set(container_ids(PROJECT))
    assert requests() == 1
    made = json.loads(stack.run("backup", "--only", "sqlite", "--json").stdout)
    assert "sqlite:app" in {part["kind"] for part in made["parts"]}
    docker("volume", "rm", f"{PROJECT}_app")
    done = json.loads(stack.run("restore", made["id"], "--only", "sqlite", "--yes", "--json").stdout)
    assert "sqlite:app" in done["seconds"]
    assert requests() == 1
    assert f"{PROJECT}_app" in left_over("volume", PROJECT), "`down --volumes` finds it"
    stack.run("down", "--volumes", "--yes")
    assert left_over("volume", PROJECT) == []
