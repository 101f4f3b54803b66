"""A container that refuses to reload goes on with what it had."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from stacks import EVERYTHING, spec, templates, topology

from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.engines.compose.engine import ComposeEngine
from techsapo_ops.engines.state import Record
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.apply.plan import desired_state
from techsapo_ops.stack.step import Action, Step


class RefusingNginx:
    """A docker client with one container, an nginx whose reload fails."""

    def __init__(self, folder: Path) -> None:
        self.entry = {
            "Id": "c1",
            "Name": "/techsapo-nginx-1",
            "Image": "sha256:1",
            "RestartCount": 0,
            "Config": {
                "Image": "nginx:1",
                "Labels": {
                    "com.docker.compose.project": "techsapo",
                    "com.docker.compose.service": "nginx",
                    "com.docker.compose.project.working_dir": str(folder),
                },
            },
            "State": {"Status": "running", "Pid": 7, "StartedAt": "2026-01-31T01:02:03.1Z", "ExitCode": 0},
            "HostConfig": {},
        }

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        words = command.argv[1:]
        if words[0] == "ps":
            return Completed(command, 0, b"c1\n", b"")
        if words[:2] == ("container", "inspect"):
            return Completed(command, 0, json.dumps([self.entry]).encode(), b"")
        assert words[0] == "exec", words
        return Completed(command, 1, b"", b"host not found in upstream")


def test_a_refused_reload_leaves_the_note_of_what_runs_as_it_was(tmp_path: Path) -> None:
    model = spec(**EVERYTHING)
    where = topology(model, tmp_path, "compose")
    engine = ComposeEngine(where, Docker(RefusingNginx(where.layout.config / "docker")))
    old = Record("nginx", "nginx", "127.0.0.1", 8080, "101", ("app-1",), 10, "before", "then", container="c1")
    engine.state.put(old)
    step = Step(Action.RELOAD, "nginx", "nginx.conf changed")
    with pytest.raises(OpsError, match="nginx refuses its configuration: host not found"):
        engine.perform(step, desired_state(where, templates()), lambda _: None)
    assert engine.state.load()["nginx"] == old, "going back must not make it anew"
