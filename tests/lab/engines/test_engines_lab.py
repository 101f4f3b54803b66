"""What containers promise in the words of the native engine, and going from one engine to the other.

`test_native_engine_lab.py` has the same promises natively.
"""

from __future__ import annotations

import json
import os
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from docker_lab import DockerLab, container_ids, docker, docker_project, left_over
from projects import Project, only_redis, project, small_spec
from servers import free_port, tcp_open, wait_for

pytestmark = pytest.mark.lab


def named(engine: str) -> str:
    return f"lab-{engine}-{os.getpid()}"


def in_containers(lab: DockerLab, spec: dict[str, Any], name: str) -> AbstractContextManager[Project]:
    return docker_project(lab, {**spec, "project": named("compose")}, name)


@pytest.fixture(scope="module")
def stack(lab_images: DockerLab) -> Iterator[Project]:
    spec = small_spec(mysql={"port": free_port(), "password": "m$1'x"})
    spec["monitoring"]["prometheus"]["scrape_interval"] = "1s"  # a stack is healthy once all were scraped
    with in_containers(lab_images, spec, "plain $HOME 監視") as made:
        made.run("up", timeout=300)
        yield made


def services(stack: Project) -> dict[str, dict[str, Any]]:
    return {s["service"]: s for s in json.loads(stack.run("ps", "--json").stdout)["services"]}


def test_an_idle_plan_and_ps_list_every_service(stack: Project) -> None:
    found = services(stack)
    assert set(found) - {"scheduler"} == {"redis", "mysql", "prometheus", "alertmanager", "app"}
    assert all(s["pid"] and s["uptime_seconds"] is not None for s in found.values())
    assert stack.run("plan").stdout == "up to date\n"


def test_a_changed_threshold_is_a_reload_of_prometheus_and_another_file_of_redis_a_restart(
    stack: Project,
) -> None:
    before = {name: s["pid"] for name, s in services(stack).items()}
    stack.write(
        monitoring={**stack.spec["monitoring"], "alerts": {"MemoryHigh": {"threshold": 77}}},
        redis={**stack.spec["redis"], "appendonly": True},
    )
    plan = json.loads(stack.run("plan", "--json", code=100).stdout)
    actions = {s["service"]: s["action"] for s in plan["steps"]}
    assert actions == {
        "redis": "restart",
        "mysql": "nothing",
        "prometheus": "reload",
        "alertmanager": "nothing",
        "app": "restart",  # its own part of the spec holds how Redis is to be used
        **dict.fromkeys(before.keys() & {"scheduler"}, "nothing"),
    }
    done = json.loads(stack.run("up", "--yes", "--json").stdout)
    assert {s["service"]: s["action"] for s in done["steps"]} == actions
    after = {name: s["pid"] for name, s in services(stack).items()}
    assert {name for name in after if after[name] != before[name]} == {"redis", "app"}


def test_restart_reload_and_logs_take_names_and_refuse_unknown_ones(stack: Project) -> None:
    before = services(stack)
    assert stack.run("restart", "redis").stderr == "restarted redis\n"
    assert services(stack)["redis"]["pid"] != before["redis"]["pid"]
    assert (
        stack.run("restart", "--reload", "prometheus", "redis").stderr
        == "reloaded prometheus; restarted redis\n"
    )
    assert services(stack)["prometheus"]["pid"] == before["prometheus"]["pid"]
    assert "there is no service postgres" in stack.run("restart", "postgres", code=2).stderr
    assert "there is no service postgres" in stack.run("logs", "postgres", code=2).stderr
    lines = [json.loads(line) for line in stack.run("logs", "redis", "-n", "3", "--json").stdout.splitlines()]
    assert [line["service"] for line in lines] == ["redis"] * 3
    assert "Ready to accept" in lines[-1]["text"]


def test_down_ends_everything_and_says_so_when_nothing_runs(stack: Project) -> None:
    assert "redis" in stack.run("down").stderr
    assert [p for p in stack.ports() if tcp_open(p)] == []
    assert "nothing to stop" in stack.run("down").stderr
    listed = json.loads(stack.run("ps", "--json").stdout)
    assert (listed["running"], listed["services"]) == (False, [])


def audited(stack: Project) -> bool:
    """Whether the app says that its audit log is the database, and that this is well."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{stack.spec['app']['port']}/api/v1/health") as answer:
            audit = json.load(answer)["dependencies"]["audit"]
    except OSError:
        return False
    return audit["status"] in {"ok", "healthy", "up"} and audit["in_use"] != "sqlite"


def test_the_generated_files_run_with_plain_docker_compose(stack: Project) -> None:
    """After `down`; `up` made the passwords and keys."""
    for file in ("docker-compose.monitoring.yml", "production/docker-compose.prod.yml"):
        path = stack.state / "generated/docker" / file
        docker("compose", "-f", str(path), "up", "-d", "--wait", "--no-build", "--pull", "never", timeout=200)
    wait_for(lambda: audited(stack), what="the app on MariaDB")


def test_up_takes_over_what_plain_docker_compose_started_and_a_new_password_arrives(stack: Project) -> None:
    stack.run("up", "--yes", timeout=200)
    stack.write(mysql={**stack.spec["mysql"], "password": "another \\ 'one' $x"})
    stack.run("up", "--yes", timeout=200)
    wait_for(lambda: audited(stack), what="the app on MariaDB with the new password")
    wait_for(
        lambda: stack.health()["status"] == "healthy",
        timeout=60,
        what="a scrape of the app that came up last",
    )
    stack.run("down", "--volumes", "--yes")
    assert left_over("container", named("compose")) == left_over("volume", named("compose")) == []


def test_a_service_that_does_not_come_up_is_told_with_probe_and_log(lab_images: DockerLab) -> None:
    spec = only_redis(images={"redis": lab_images.images["alertmanager"]})
    with in_containers(lab_images, spec, "broken") as made:
        failed = made.run("up", code=1, timeout=200)
        assert "redis did not become ready" in failed.stderr or "Docker can't start redis" in failed.stderr
        assert "app was not started: it needs redis" in failed.stderr


def test_a_port_of_someone_else_is_named_with_its_holder(lab_images: DockerLab) -> None:
    with in_containers(lab_images, only_redis(), "taken") as made, socket.socket() as other:
        other.bind(("127.0.0.1", made.spec["app"]["port"]))
        other.listen()
        failed = made.run("up", code=1, timeout=200)
        assert f"app can't have port {made.spec['app']['port']}" in failed.stderr
        assert f"pid {os.getpid()}" in failed.stderr


def test_the_engine_is_kept_until_another_is_asked_for(lab_images: DockerLab) -> None:
    spec = {**only_redis(), "engine": "auto", "images": dict(lab_images.images)}
    name = named("auto")
    with docker_project(lab_images, {**spec, "project": name}, "auto") as made:
        made.write(engine="auto")
        first = made.run("up", timeout=300)
        assert "engine: compose (a Docker daemon answers, every image is here)" in first.stderr
        made.write(engine="native")
        assert "up to date" in made.run("up").stderr, "it was brought up with compose"
        moved = made.run("up", "--engine", "native")
        assert "moves from the compose engine to native" in moved.stderr
        assert left_over("container", name) == []
        assert {s["state"] for s in services(made).values()} <= {"running", "starting"}
        made.run("rollback", "--yes", timeout=100)
        assert made.members() == [], "a roll back over a change of engine goes back to the engine of then"
        assert set(container_ids(name)) == {"redis", "app"}
        made.run("changes", "drift")
        assert "up to date" in made.run("up").stderr
        made.run("down")
        made.assert_gone()


def test_auto_is_native_where_an_image_is_nowhere(lab_images: DockerLab) -> None:
    nowhere = f"127.0.0.1:{free_port()}/redis:1"
    spec = {**only_redis(), "images": {**lab_images.images, "redis": nowhere}}
    with project({**spec, "engine": "auto"}) as made:
        said = made.run("up").stderr
        assert f"engine: native (the image {nowhere} is not here" in said
        made.run("down")


def test_two_projects_run_side_by_side_and_one_name_can_not_be_taken_twice(lab_images: DockerLab) -> None:
    with (
        docker_project(lab_images, only_redis(project=named("one")), "一 つ") as first,
        docker_project(lab_images, only_redis(project=named("two")), "二 つ") as second,
    ):
        first.run("up", timeout=300)
        free = second.spec["app"]
        second.write(app=first.spec["app"])
        assert f"the container {named('one')}-app-1 listens on it" in second.run("up", code=1).stderr
        second.write(app=free)
        second.run("up", timeout=300)
        before = container_ids(named("two"))
        second.write(project=named("one"))
        refused = second.run("up", code=1)
        assert f"another project {named('one')} already" in refused.stderr
        second.write(project=named("two"))
        first.run("down", "--volumes", "--yes")
        assert container_ids(named("two")) == before
        assert "up to date" in second.run("up").stderr
