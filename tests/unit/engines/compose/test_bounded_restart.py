"""A restart bounds how long a container that takes nothing new ends what is under way; a stop does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stacks import EVERYTHING, spec, templates, topology

from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.engines.compose.engine import ComposeEngine
from techsapo_ops.engines.compose.starter import Starter
from techsapo_ops.operations.apply.plan import desired_state
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.step import Action, Step


class ToldDocker:
    """A docker client with one container; keeps what would end it, with the options."""

    def __init__(self, folder: Path, service: str) -> None:
        self.entry: dict[str, Any] = {
            "Id": "c1",
            "Name": f"/techsapo-{service}-1",
            "Image": "sha256:1",
            "RestartCount": 0,
            "Config": {
                "Image": f"{service}:1",
                "Labels": {
                    "com.docker.compose.project": "techsapo",
                    "com.docker.compose.service": service,
                    "com.docker.compose.project.working_dir": str(folder),
                },
            },
            "State": {"Status": "running", "Pid": 7, "StartedAt": "2026-01-31T01:02:03.1Z", "ExitCode": 0},
            "HostConfig": {},
        }
        self.told: list[tuple[str, ...]] = []

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        words = command.argv[1:]
        said = ""
        match words:
            case ("ps", *_):
                said = "c1\n"
            case ("container", "inspect", *_):
                said = json.dumps([self.entry])
            case ("restart" | "stop" | "rm", *_):
                self.told.append(words)
            case ("compose", *_):
                self.told.append(words[words.index("up") :])
            case _:
                raise AssertionError(words)
        return Completed(command, 0, said.encode(), b"")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeEngine]:
    folder = tmp_path_factory.mktemp("stack")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ComposeEngine, "_gate", lambda *_: None)
        patched.setattr(ComposeEngine, "_settle", lambda *_: None)
        patched.setattr(Starter, "_free_ports", lambda *_: None)
        yield ComposeEngine(topology(spec(**EVERYTHING), folder, "compose"), Docker(ToldDocker(folder, "")))


@pytest.fixture(scope="module")
def desired(engine: ComposeEngine) -> Desired:
    return desired_state(engine.topology, templates())


def told(
    engine: ComposeEngine, action: Action, service: str, desired: Desired | None
) -> list[tuple[str, ...]]:
    """What is done to the container; `desired` is None where somebody asked for it."""
    docker = ToldDocker(engine.layout.config / "docker", service)
    engine.docker = Docker(docker)
    engine.perform(Step(action, service, "why"), desired, lambda _: None)
    return docker.told


def test_nginx_has_two_seconds_where_it_starts_again(engine: ComposeEngine, desired: Desired) -> None:
    for asked in (desired, None):
        assert told(engine, Action.RESTART, "nginx", asked) == [("restart", "-t", "2", "c1")]


def test_nginx_has_no_more_where_its_container_is_made_anew(engine: ComposeEngine, desired: Desired) -> None:
    [words] = told(engine, Action.RECREATE, "nginx", desired)
    assert words[-3:] == ("-t", "2", "nginx")
    assert "--force-recreate" in words


def test_what_stores_data_has_all_of_its_time(engine: ComposeEngine, desired: Desired) -> None:
    for action in (Action.RESTART, Action.RECREATE):
        [words] = told(engine, action, "redis", desired)
        assert "-t" not in words


def test_nginx_that_goes_for_good_has_all_of_its_time(engine: ComposeEngine, desired: Desired) -> None:
    stopped, _ = told(engine, Action.REMOVE, "nginx", desired)
    assert stopped == ("stop", "c1")
