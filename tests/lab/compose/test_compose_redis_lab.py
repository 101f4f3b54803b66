"""A Redis with TLS in a container: accounts are turned on while it runs, and who reads which password."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from docker_lab import DockerLab, container_ids, docker, docker_project
from guarded_redis import APP, EXPORTER, OPERATOR, fetched, guarded_spec
from projects import Project
from servers import wait_for

from techsapo_ops.services.redis.accounts import password_file

pytestmark = pytest.mark.lab

PROJECT = f"lab-redis-{os.getpid()}"
TLS = ("--tls", "--cacert", "/etc/techsapo/redis-ca/ca.pem")


@pytest.fixture(scope="module")
def lab(lab_images: DockerLab) -> Iterator[Project]:
    spec = {**guarded_spec(accounts=False, tls=True), "project": PROJECT}
    with docker_project(lab_images, spec, "資料 stack") as made:
        made.run("up", "--yes", timeout=200)
        yield made


def said(made: Project, account: str | None, *words: str, tls: bool = True) -> str:
    """What redis-cli prints in the container of Redis, logged in as `account` or not at all."""
    password = password_file(made.layout, account).read_text() if account else ""
    login = ("--no-auth-warning", "--user", account) if account else ()
    known = ("-e", "REDISCLI_AUTH") if account else ()
    argv = ("exec", *known, container_ids(PROJECT)["redis"], "redis-cli", *login, *(TLS if tls else ()))
    done = docker(*argv, *words, env={**os.environ, "REDISCLI_AUTH": password}, check=False)
    return (done.stdout + done.stderr).strip()


def well(made: Project) -> None:
    """The app uses Redis, the exporter reads it, and all probes pass, Docker's own too."""
    cache = json.loads(fetched(made.spec["app"]["port"], "/api/v1/health"))["dependencies"]["cache"]
    assert (cache["status"], cache["in_use"]) == ("healthy", "redis")
    ask = "import urllib.request as r; print(r.urlopen('http://redis-exporter:9121/metrics').read().decode())"
    assert "\nredis_up 1\n" in docker("exec", container_ids(PROJECT)["app"], "python", "-c", ask).stdout
    state = ("inspect", "--format", "{{.State.Health.Status}}", container_ids(PROJECT)["redis"])
    wait_for(lambda: docker(*state).stdout.strip() == "healthy", timeout=60, what="Docker's health check")
    assert {p["status"] for p in made.health()["probes"] if p["name"] not in {"disk", "jobs"}} == {"healthy"}
    made.run("plan")


def test_accounts_are_turned_on_without_a_loss_of_data(lab: Project) -> None:
    assert said(lab, None, "set", "mine", "kept") == "OK"
    assert "kept" not in said(lab, None, "get", "mine", tls=False)
    lab.write(redis={**lab.spec["redis"], "accounts": True})
    lab.run("up", "--yes", timeout=200)
    assert "NOAUTH" in said(lab, None, "get", "mine")
    assert said(lab, OPERATOR, "get", "mine") == "kept"
    users = {word for word in said(lab, OPERATOR, "client", "list").split() if word.startswith("user=")}
    assert users <= {f"user={name}" for name in (APP, EXPORTER, OPERATOR)}
    well(lab)


def test_each_container_has_its_own_password_no_key_and_inspect_shows_none(lab: Project) -> None:
    passwords = {name: password_file(lab.layout, name).read_text() for name in (APP, EXPORTER, OPERATOR)}
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
