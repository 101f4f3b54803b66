"""A Redis with an account and TLS in a container: who asks it, and backups and restores by docker exec."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from backup_lab import PASSWORD
from docker_lab import DockerLab, container_ids, docker, docker_project
from guarded_redis import USER, fetched, guarded_spec
from projects import Project
from servers import wait_for

from techsapo_ops.certs.self_signed import ensure
from techsapo_ops.stack.own_tls import certificate

pytestmark = pytest.mark.lab

PROJECT = f"lab-redis-{os.getpid()}"
CA = "/etc/techsapo/redis-ca/ca.pem"


@pytest.fixture(scope="module")
def lab(lab_images: DockerLab) -> Iterator[Project]:
    spec = {**guarded_spec(tls=True, appendonly=True), "project": PROJECT}
    with docker_project(lab_images, spec, "資料 stack") as made:
        made.run("up", "--yes", timeout=200)
        yield made


def said(*words: str, login: tuple[str, ...] = ("--user", USER, "--tls", "--cacert", CA)) -> str:
    """What redis-cli prints in the container of Redis."""
    environment = {**os.environ, "REDISCLI_AUTH": PASSWORD}
    container = container_ids(PROJECT)["redis"]
    argv = ("exec", "-e", "REDISCLI_AUTH", container, "redis-cli", "--no-auth-warning", *login, *words)
    done = docker(*argv, env=environment, check=False)
    return (done.stdout + done.stderr).strip()


def well(made: Project) -> None:
    """The app uses Redis, the exporter reads it, and Docker's own health check passes."""
    cache = json.loads(fetched(made.spec["app"]["port"], "/api/v1/health"))["dependencies"]["cache"]
    assert (cache["status"], cache["in_use"]) == ("healthy", "redis")
    ask = "import urllib.request as r; print(r.urlopen('http://redis-exporter:9121/metrics').read().decode())"
    metrics = docker("exec", container_ids(PROJECT)["app"], "python", "-c", ask).stdout
    assert "\nredis_up 1\n" in metrics
    state = ("inspect", "--format", "{{.State.Health.Status}}", container_ids(PROJECT)["redis"])
    wait_for(lambda: docker(*state).stdout.strip() == "healthy", timeout=60, what="Docker's health check")
    assert {p["status"] for p in made.health()["probes"] if p["name"] not in {"disk", "jobs"}} == {"healthy"}


def test_every_container_that_asks_redis_gets_its_answer_and_nobody_else(lab: Project) -> None:
    well(lab)
    assert said("ping") == "PONG"
    assert "NOAUTH" in said("ping", login=("--tls", "--cacert", CA))
    assert "PONG" not in said("ping", login=("--user", USER))
    assert lab.run("plan").stdout.strip() == "up to date"


def test_the_app_is_given_no_key(lab: Project) -> None:
    there = docker("exec", container_ids(PROJECT)["app"], "ls", "/etc/techsapo/redis-ca").stdout.split()
    assert there == ["ca.pem"]
    assert "redis-tls" not in docker("exec", container_ids(PROJECT)["app"], "ls", "/etc/techsapo").stdout


def test_what_was_backed_up_in_a_container_comes_back(lab: Project) -> None:
    said("mset", *(word for n in range(300) for word in (f"k{n}", str(n))))
    made = json.loads(lab.run("backup", "create", "--only", "redis", "--json").stdout)
    deep = lab.run("backup", "verify", "--latest", "--deep", "--json", timeout=200)
    assert json.loads(deep.stdout)["ok"] is True
    said("del", "k7")
    said("set", "later", "1")
    lab.run("restore", made["id"], "--only", "redis", "--yes", timeout=200)
    assert (said("get", "k7"), said("exists", "later")) == ("7", "0")
    well(lab)


def test_a_certificate_that_is_due_is_renewed_by_up_and_restarts_redis_alone(lab: Project) -> None:
    folder, before = certificate(lab.layout, "redis"), container_ids(PROJECT)
    (folder / "privkey.pem").unlink()
    names = ["redis", "localhost", "127.0.0.1", "::1"]
    ensure(folder, names, days=365, now=datetime.now(UTC) - timedelta(days=260))
    old = (folder / "fullchain.pem").read_bytes()
    steps = json.loads(lab.run("plan", "--json", code=100).stdout)["steps"]
    assert {s["service"]: s["reason"] for s in steps if s["action"] != "nothing"} == {
        "redis": "a new certificate, for it is due for renewal"
    }
    lab.run("up", "--yes", timeout=200)
    assert (folder / "fullchain.pem").read_bytes() != old
    well(lab)
    assert container_ids(PROJECT) == before
    assert lab.run("plan").stdout.strip() == "up to date"
