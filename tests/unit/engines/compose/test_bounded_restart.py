"""A restart bounds how long a container that takes nothing new ends what is under way; a stop does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from stacks import EVERYTHING, spec, topology

from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.engines.compose.engine import ComposeEngine
from techsapo_ops.engines.compose.starter import Starter
from techsapo_ops.operations.apply.plan import desired_state
from techsapo_ops.render.templates import Templates
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


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ComposeEngine:
    monkeypatch.setattr(ComposeEngine, "_gate", lambda *_: None)
    monkeypatch.setattr(ComposeEngine, "_settle", lambda *_: None)
    monkeypatch.setattr(Starter, "_free_ports", lambda *_: None)
    monkeypatch.setattr("techsapo_ops.engines.logins.started", lambda *_: None)
    return ComposeEngine(topology(spec(**EVERYTHING), tmp_path, "compose"), Docker(ToldDocker(tmp_path, "")))


def told(engine: ComposeEngine, action: Action, service: str, *, asked_for: bool) -> list[tuple[str, ...]]:
    docker = ToldDocker(engine.layout.config / "docker", service)
    engine.docker = Docker(docker)
    desired = None if asked_for else desired_state(engine.topology, Templates(None))
    engine.perform(Step(action, service, "why"), desired, lambda _: None)
    return docker.told


@pytest.mark.parametrize("asked_for", [True, False])
def test_nginx_has_two_seconds_where_it_starts_again(engine: ComposeEngine, asked_for: bool) -> None:
    assert told(engine, Action.RESTART, "nginx", asked_for=asked_for) == [("restart", "-t", "2", "c1")]


def test_nginx_has_no_more_where_its_container_is_made_anew(engine: ComposeEngine) -> None:
    [words] = told(engine, Action.RECREATE, "nginx", asked_for=False)
    assert words[-3:] == ("-t", "2", "nginx")
    assert "--force-recreate" in words


@pytest.mark.parametrize("action", [Action.RESTART, Action.RECREATE])
def test_what_stores_data_has_all_of_its_time(engine: ComposeEngine, action: Action) -> None:
    [words] = told(engine, action, "redis", asked_for=False)
    assert "-t" not in words


def test_nginx_that_goes_for_good_has_all_of_its_time(engine: ComposeEngine) -> None:
    stopped, _ = told(engine, Action.REMOVE, "nginx", asked_for=False)
    assert stopped == ("stop", "c1")
