"""An `up` of 12 services that has nothing to do (fastest of 3), beside `docker compose up -d --wait`.

The native figure has no other tool to stand beside, so it stands beside the compose engine's.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench.row import Row

sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))

from docker_lab import docker, docker_lab, docker_project, full_spec
from projects import Project, project
from servers import wait_for

RUNS = 3
FILES = ("docker-compose.monitoring.yml", "production/docker-compose.prod.yml")


def _milliseconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000


def _fastest(*works: Callable[[], object]) -> list[float]:
    """The fastest time of each, taken in turn, so that a busy moment hits all alike."""
    times = [[_milliseconds(work) for work in works] for _ in range(RUNS)]
    return [min(column) for column in zip(*times, strict=True)]


def _idle(stack: Project) -> Callable[[], object]:
    stack.launcher = ("env",)  # started as users start it, not warm as the labs do

    def up() -> None:
        assert "up to date" in stack.run("up", "--yes").stderr

    return up


def _compose_itself(stack: Project) -> Callable[[], object]:
    folder = stack.state / "generated" / "docker"

    def up() -> None:
        for file in FILES:
            docker("compose", "-f", str(folder / file), "up", "-d", "--wait")

    return up


def run() -> Iterator[Row]:
    """Bring the same 12 services up on both engines; needs root, for the lab's Docker daemon."""
    if os.geteuid() != 0:
        print("left out: it starts a Docker daemon, which needs root")
        return
    with docker_lab() as lab:
        name = f"bench-idle-{os.getpid()}"
        with docker_project(lab, full_spec(name)) as containers:
            containers.run("up", timeout=400)

            def healthy() -> bool:
                form = "{{.Status}}"
                said = docker("ps", "--filter", f"name={name}", "--format", form).stdout
                return "starting" not in said

            wait_for(healthy, timeout=60, what="every health check")
            ours, theirs = _fastest(_idle(containers), _compose_itself(containers))
            yield Row("techsapo up, compose engine", ours, theirs, 1.0)
    with project({**full_spec("bench"), "engine": "native"}) as processes:
        processes.run("up", timeout=200)
        (native,) = _fastest(_idle(processes))
        yield Row("techsapo up, native engine", native, ours, 1.5)
