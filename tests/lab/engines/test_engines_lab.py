"""Going from one engine to the other, and two projects in containers side by side."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from docker_lab import DockerLab, container_ids, docker_project, left_over
from projects import Project, only_redis

pytestmark = pytest.mark.lab


def named(engine: str) -> str:
    return f"lab-{engine}-{os.getpid()}"


def services(stack: Project) -> dict[str, dict[str, Any]]:
    return {s["service"]: s for s in json.loads(stack.run("ps", "--json").stdout)["services"]}


def test_the_engine_is_kept_until_another_is_asked_for(lab_images: DockerLab) -> None:
    spec = {**only_redis(), "engine": "auto", "images": dict(lab_images.images)}
    name = named("auto")
    with docker_project(lab_images, {**spec, "project": name}, "auto") as made:
        made.write(engine="auto")
        first = made.run("up", timeout=300)
        assert "engine: compose (a Docker daemon answers, and every image is on this host)" in first.stderr
        made.write(engine="native")
        assert "up to date" in made.run("up").stderr, "it was brought up with compose"
        moved = made.run("up", "--engine", "native")
        assert "moves from engine compose to native" in moved.stderr
        assert left_over("container", name) == []
        assert {s["state"] for s in services(made).values()} <= {"running", "starting"}
        made.run("rollback", "--yes")
        assert made.members() == [], "a roll back over a change of engine goes back to the engine of then"
        assert set(container_ids(name)) == {"redis", "app"}
        made.run("changes", "drift")
        assert "up to date" in made.run("up").stderr
        made.run("down")
        made.assert_gone()


def test_two_projects_run_side_by_side_and_one_name_can_not_be_taken_twice(lab_images: DockerLab) -> None:
    with (
        docker_project(lab_images, only_redis(project=named("one")), "一 つ") as first,
        docker_project(lab_images, only_redis(project=named("two")), "二 つ") as second,
    ):
        first.run("up", timeout=300)
        free = second.spec["app"]
        second.write(app=first.spec["app"])
        assert f"the container {named('one')}-app-1 is listening on it" in second.run("up", code=1).stderr
        second.write(app=free)
        second.run("up", timeout=300)
        before = container_ids(named("two"))
        second.write(project=named("one"))
        refused = second.run("up", code=1)
        assert f"Docker already has a project {named('one')}" in refused.stderr
        second.write(project=named("two"))
        first.run("down", "--volumes", "--yes")
        assert container_ids(named("two")) == before
        assert "up to date" in second.run("up").stderr
