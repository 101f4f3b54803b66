"""Commands that find nothing to do, in processor time; and how long such an `up` takes beside compose's.

The stack has 12 services. The native `up` has no other tool to stand beside, so it stands beside the compose
engine's.
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

from tests.bench.startup import HELLO, least_ms

RUNS = 3
BOUNDS = {"plan": 5.5, "up --yes": 8.0, "health": 5.0, "status": 7.5}
"""In hello worlds' --help, which takes .10 s where `python3 -c pass` takes .05."""
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


def _of_processors(stack: Project) -> Iterator[Row]:
    (stack.directory / "hello.py").write_text(HELLO)
    commands = {"hello": [sys.executable, "hello.py", "--help"]}
    commands |= {name: [sys.executable, "-m", "techsapo_ops", *name.split()] for name in BOUNDS}
    least = least_ms(commands, stack.directory, RUNS + 2)
    for name, bound in BOUNDS.items():
        yield Row(f"techsapo {name}", least[name], least["hello"], bound)


def run() -> Iterator[Row]:
    """Bring the same 12 services up on both engines; the compose engine needs root, for the lab's daemon."""
    with project({**full_spec("bench"), "engine": "native"}) as processes:
        processes.run("up", timeout=200)
        processes.well()
        yield from _of_processors(processes)
        (native,) = _fastest(_idle(processes))
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
    yield Row("techsapo up, native engine", native, ours, 1.5)
