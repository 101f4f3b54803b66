"""A move from Docker Compose on one host to three is killed: what `up` and `down` find there, and elsewhere.

Redis, MariaDB, the app and nginx. The one host is a; b has the same spec in a folder of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from killed import FAULT_POINT
from projects import Project
from swarm_lab import SwarmLab, swarm_lab

from tests.swarm.figures import Figures
from tests.swarm.ground import PROJECT, whole

_OFF = {"enabled": False}
_FREE_AFTER = "120"
"""Seconds to wait for the lease of a command that was killed on another machine."""


def prove(_: object, found: Figures) -> None:
    """Kill it before the one host is stopped, and once services run on the three."""
    with swarm_lab() as lab, tempfile.TemporaryDirectory(prefix="techsapo-killed-move-") as folder:
        move = KilledMove(lab, Path(folder))
        began = time.monotonic()
        move.before_it_is_stopped()
        found.add("killed before the one host is stopped: all is down", "s", [time.monotonic() - began])
        began = time.monotonic()
        move.once_services_run()
        found.add("killed once services run: up on a, down on a and on b", "s", [time.monotonic() - began])
        found.notes += move.said


class KilledMove:
    """The stack's folder on a, the one on b with the same spec, and what commands said."""

    def __init__(self, lab: SwarmLab, folder: Path) -> None:
        monitoring: dict[str, Any] = dict.fromkeys(("prometheus", "alertmanager", "grafana"), _OFF)
        exporters = dict.fromkeys(("node", "redis", "mysqld", "nginx", "blackbox"))
        self.three = lab.spec(**whole(monitoring={**monitoring, "exporters": exporters}))
        self.one = {k: v for k, v in self.three.items() if k not in {"hosts", "floating_address"}}
        self.one["engine"] = "compose"
        self.lab, self.said = lab, list[str]()
        for host in "ab":
            (folder / host / PROJECT).mkdir(parents=True)
        docker = {host: {"DOCKER_HOST": lab.machines[host].docker} for host in "ab"}
        self.a = Project(folder / "a" / PROJECT, self.one, docker["a"], lab.enter("a"))
        self.b = replace(self.a, directory=folder / "b" / PROJECT, environment=docker["b"])
        self.b.launcher = lab.enter("b")
        self.b.spec = self.three
        self.b.write()

    def before_it_is_stopped(self) -> None:
        """Compose runs on a. b can't see it; what b does leaves it for a to stop."""
        self.killed("files")
        said = self.b.run("up", "--yes", "--wait", _FREE_AFTER, code=1, timeout=300).stderr
        assert "from a to several hosts was interrupted" in said, said
        self.said.append(f"`up` on b: {' '.join(said.split())}")
        said = self.b.run("down", timeout=120).stderr
        assert "the stack from a to several hosts was not finished" in said, said
        self.said.append(f"`down` on b: {' '.join(said.split())}")
        assert self.running("a"), "it is a's to stop"
        self.a.run("down", timeout=120)
        self.nothing_runs()

    def once_services_run(self) -> None:
        """They run on the three alone, as every host knows."""
        self.killed("services")
        self.a.run("up", "--yes", timeout=600)
        assert all(self.running(host) for host in self.lab.machines)
        self.a.run("down", timeout=300)
        self.nothing_runs()
        self.killed("services")
        assert any(self.running(host) for host in self.lab.machines)
        self.a.run("down", timeout=300)
        self.nothing_runs()
        self.killed("services")
        self.b.run("down", "--wait", _FREE_AFTER, timeout=300)
        self.nothing_runs()
        self.a.run("down", timeout=300)

    def killed(self, point: str) -> None:
        """From Compose on a, the move is begun there, and killed at `point`."""
        self.a.spec = self.one
        self.a.write()
        self.a.run("up", "--yes", timeout=600)
        assert all(name.startswith(f"{PROJECT}-") for name in self.running("a")), "Compose names them so"
        self.a.spec = self.three
        self.a.write()
        argv = [*self.a.launcher, sys.executable, str(FAULT_POINT), point, "up", "--yes"]
        where: dict[str, Any] = {"cwd": self.a.directory, "env": {**os.environ, **self.a.environment}}
        done = subprocess.run(argv, **where, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == -signal.SIGKILL, (point, done.returncode, done.stdout + done.stderr)

    def running(self, host: str) -> list[str]:
        """Names of the stack's containers that run there."""
        return self.lab.containers(host, PROJECT)

    def nothing_runs(self) -> None:
        """Neither side has a container that runs, on any of the machines."""
        left = {host: self.running(host) for host in self.lab.machines}
        assert not any(left.values()), left
