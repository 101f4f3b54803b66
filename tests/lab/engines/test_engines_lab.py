"""Going from one engine to the other, and two projects in containers side by side."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from docker_lab import DockerLab, container_ids, docker_project, left_over
from projects import Project, only_redis

pytestmark = pytest.mark.lab


def named(engine: str) -> str:
    return f"lab-{engine}-{os.getpid()}"


def services(stack: Project) -> dict[str, dict[str, Any]]:
    return {s["service"]: s for s in json.loads(stack.run("ps", "--json").stdout)["services"]}


@pytest.fixture(scope="module")
def first(lab_images: DockerLab) -> Iterator[Project]:
    """One that went to containers by itself."""
    spec = {**only_redis(), "images": dict(lab_images.images), "project": named("one")}
    with docker_project(lab_images, spec, "一 つ") as made:
        made.write(engine="auto")
        said = made.run("up", timeout=300).stderr
        assert "engine: compose (a Docker daemon answers, and every image is on this host)" in said
        yield made


@pytest.fixture(scope="module")
def second(lab_images: DockerLab) -> Iterator[Project]:
    with docker_project(lab_images, only_redis(project=named("two")), "二 つ") as made:
        yield made


def test_two_projects_run_side_by_side_and_one_name_can_not_be_taken_twice(
    first: Project, second: Project
) -> None:
    free, before = second.spec["app"], container_ids(named("one"))
    second.write(app=first.spec["app"])
    assert f"the container {named('one')}-app-1 is listening on it" in second.run("up", code=1).stderr
    second.write(app=free)
    second.run("up", timeout=300)
    assert container_ids(named("one")) == before
    second.write(project=named("one"))
    refused = second.run("up", code=1)
    assert f"Docker already has a project {named('one')}" in refused.stderr
    second.write(project=named("two"))


def test_the_engine_is_kept_until_another_is_asked_for(first: Project, second: Project) -> None:
    beside = container_ids(named("two"))
    first.write(engine="native")
    assert "up to date" in first.run("up").stderr, "it was brought up with compose"
    moved = first.run("up", "--engine", "native")
    assert "moves from engine compose to native" in moved.stderr
    assert left_over("container", named("one")) == []
    assert {s["state"] for s in services(first).values()} <= {"running", "starting"}
    first.run("rollback", "--yes")
    assert first.members() == [], "a roll back over a change of engine goes back to the engine of then"
    assert set(container_ids(named("one"))) == {"redis", "app"}
    first.run("changes", "drift")
    assert "up to date" in first.run("up").stderr
    first.run("down", "--volumes", "--yes")
    first.assert_gone()
    assert container_ids(named("two")) == beside
    assert "up to date" in second.run("up").stderr
