"""kill -9 at every step of an apply with containers: the next `up` completes it, or `rollback` undoes it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from docker_lab import DockerLab, container_ids, docker, docker_project
from killed import POINTS, change_redis, completes, killed_at
from projects import Project, only_redis
from rows import each_row

from techsapo_ops.operations.apply.ledger import Ledger

pytestmark = pytest.mark.lab

PROJECT = f"lab-killed-{os.getpid()}"


@pytest.fixture(scope="module")
def stack(lab_images: DockerLab) -> Iterator[Project]:
    with docker_project(lab_images, only_redis(project=PROJECT)) as made:
        made.run("up", timeout=200)
        yield made


def written(stack: Project) -> str:
    """The redis.conf that the container of Redis was made with last."""
    return (stack.state / "generated" / "docker" / "config" / "redis" / "redis.conf").read_text()


def in_redis() -> str:
    """The redis.conf that the running container sees."""
    container = container_ids(PROJECT)["redis"]
    command = docker("inspect", "--format", "{{json .Config.Cmd}}", container).stdout
    return docker("exec", container, "cat", json.loads(command)[-1]).stdout


@each_row("point", POINTS)
def test_an_up_that_was_killed_is_completed_by_the_next_one(stack: Project, point: str) -> None:
    app = container_ids(PROJECT)["app"]
    completes(stack, point)
    assert in_redis() == written(stack)
    assert container_ids(PROJECT)["app"] == app, "what did not change was not touched"


def test_an_up_that_was_killed_is_undone_by_rollback(stack: Project) -> None:
    before, good = written(stack), Ledger(stack.state).current()
    assert good is not None
    change_redis(stack)
    killed_at(stack, "services", "up")
    assert "interrupted" in stack.run("drift", code=100).stdout
    done = json.loads(stack.run("rollback", "--yes", "--json").stdout)
    assert done["to"] == good.id
    assert in_redis() == written(stack) == before
    stack.run("drift")
