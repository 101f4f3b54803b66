"""A caller who is not root, but may use Docker: a stack with secrets, a Redis with TLS and jobs.

Accounts of Redis are turned on while it runs.
"""

from __future__ import annotations

import grp
import json
import os
import subprocess
from collections.abc import Iterator

import pytest
from container_data import grafana_logins, grafana_stand_in
from docker_lab import DockerLab, container_ids, docker, docker_project, left_over
from guarded_redis import APP, EXPORTER, OPERATOR, fetched, guarded_spec
from projects import Project, another_user
from servers import free_port, wait_for

from techsapo_ops.services.redis.accounts import password_file

pytestmark = pytest.mark.lab

PROJECT = f"lab-user-{os.getpid()}"
UID = 64321
PASSWORD = "planted-redis-secret"
TLS = ("--tls", "--cacert", "/etc/techsapo/redis-ca/ca.pem")


@pytest.fixture(scope="module")
def stack(lab_images: DockerLab) -> Iterator[Project]:
    spec = {**guarded_spec(password=PASSWORD, tls=True), "project": PROJECT}
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


def cached(stack: Project) -> bool:
    """Whether the app is logged in to Redis, with the secret that it alone reads."""
    cache = json.loads(fetched(stack.spec["app"]["port"], "/api/v1/health"))["dependencies"]["cache"]
    return (cache["status"], cache["in_use"]) == ("healthy", "redis")


def said(made: Project, account: str | None, *words: str, tls: bool = True) -> str:
    """What redis-cli prints in the container of Redis, logged in as `account` or by the spec's password."""
    password = password_file(made.layout, account).read_text() if account else PASSWORD
    login = ("--user", account) if account else ()
    argv = ("exec", "-e", "REDISCLI_AUTH", container_ids(PROJECT)["redis"], "redis-cli", *login)
    environment = {**os.environ, "REDISCLI_AUTH": password}
    done = docker(*argv, *(TLS if tls else ()), *words, env=environment, check=False)
    return (done.stdout + done.stderr).strip()


def well(made: Project) -> None:
    """The app uses Redis, the exporter reads it, and all probes pass, Docker's own too."""
    wait_for(lambda: cached(made), what="the app logged in to Redis")
    ask = "import urllib.request as r; print(r.urlopen('http://redis-exporter:9121/metrics').read().decode())"
    assert "\nredis_up 1\n" in docker("exec", container_ids(PROJECT)["app"], "python", "-c", ask).stdout
    state = ("inspect", "--format", "{{.State.Health.Status}}", container_ids(PROJECT)["redis"])
    wait_for(lambda: docker(*state).stdout.strip() == "healthy", timeout=60, what="Docker's health check")
    assert {p["status"] for p in made.health()["probes"] if p["name"] not in {"disk", "jobs"}} == {"healthy"}
    made.run("plan")


def test_the_state_is_the_callers(stack: Project) -> None:
    assert owners(stack) == {UID}
    wait_for(lambda: cached(stack), what="the app logged in to Redis")
    assert stack.findings(code=0) == {}


def test_accounts_are_turned_on_without_a_loss_of_data(stack: Project) -> None:
    assert said(stack, None, "set", "mine", "kept") == "OK"
    assert "kept" not in said(stack, None, "get", "mine", tls=False)
    stack.write(redis={"port": stack.spec["redis"]["port"], "tls": True, "accounts": True})
    stack.run("up", "--yes", timeout=200)
    assert "NOAUTH" in said(stack, None, "get", "mine")
    assert said(stack, OPERATOR, "get", "mine") == "kept"
    users = {word for word in said(stack, OPERATOR, "client", "list").split() if word.startswith("user=")}
    assert users <= {f"user={name}" for name in (APP, EXPORTER, OPERATOR)}
    well(stack)


def test_each_container_has_its_own_password_no_key_and_inspect_shows_none(stack: Project) -> None:
    passwords = {name: password_file(stack.layout, name).read_text() for name in (APP, EXPORTER, OPERATOR)}
    containers = container_ids(PROJECT)
    inspected = "".join(docker("inspect", containers[name]).stdout for name in containers)
    assert not [name for name, password in passwords.items() if password in inspected]
    here = "cat /run/secrets/* /etc/techsapo/redis-accounts/* 2>/dev/null || true"
    readable = docker("exec", containers["app"], "sh", "-c", here).stdout
    assert [name for name, password in passwords.items() if password in readable] == [APP]
    readable = docker("exec", containers["redis"], "sh", "-c", here).stdout
    assert not [name for name, password in passwords.items() if password in readable]
    assert docker("exec", containers["app"], "ls", "/etc/techsapo/redis-ca").stdout.split() == ["ca.pem"]
    assert "redis-tls" not in docker("exec", containers["app"], "ls", "/etc/techsapo").stdout


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
def test_grafanas_database_goes_off_site_out_of_its_volume_and_comes_back_by_name(
    stack: Project, lab_images: DockerLab
) -> None:
    monitoring = {**stack.spec["monitoring"], "grafana": {"port": free_port()}}
    images = {**stack.spec["images"], "grafana": grafana_stand_in(lab_images)}
    stack.write(monitoring=monitoring, images=images)
    stack.run("up", "--yes", timeout=200)
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
