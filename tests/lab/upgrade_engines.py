"""The stack of the upgrade lab on each engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
from crond import cron
from docker_lab import DockerLab, container_ids, docker, docker_project
from projects import project
from upgrade_lab import Stack, everything

FOLDER = "移行 stack"
_DIGEST = (
    "import hashlib, pathlib, sys\n"
    "top = pathlib.Path(sys.argv[1])\n"
    "files = sorted(p for p in top.rglob('*') if p.is_file() and p.suffix != '.pyc')\n"
    "names = b''.join(str(p.relative_to(top)).encode() + p.read_bytes() for p in files)\n"
    "print(hashlib.sha256(names).hexdigest())\n"
)
"""Prints a digest of the package in the folder that it is given."""


@dataclass
class NativeStack(Stack):
    """On the native engine, where MariaDB makes its accounts at its start."""

    restarted: frozenset[str] = frozenset({"mysql", "prometheus"})
    earlier: list[psutil.Process] = field(default_factory=list)

    def _processes(self) -> dict[str, psutil.Process]:
        pids = self.project.pids()
        return {name: psutil.Process(pids[name]) for name in self.urls()}

    def address(self, service: str) -> tuple[str, int]:
        return "127.0.0.1", self.project.spec[service]["port"]

    def redis_conf(self) -> str:
        return (self.project.state / "generated" / "redis" / "redis.conf").read_text()

    def remember_what_runs(self) -> None:
        self.earlier = list(self._processes().values())

    def outdated(self) -> list[str]:
        # A process that began before the tool was replaced holds what it read of the old one.
        return [name for name, process in self._processes().items() if process in self.earlier]


@dataclass
class ContainerStack(Stack):
    """On the compose engine."""

    def address(self, service: str) -> tuple[str, int]:
        """In the stack's own network: the databases are not published."""
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
        [address, *_] = docker("inspect", "--format", form, self._containers()[service]).stdout.split()
        return address, {"redis": 6379, "mysql": 3306}[service]

    def redis_conf(self) -> str:
        container = self._containers()["redis"]
        command = docker("inspect", "--format", "{{json .Config.Cmd}}", container).stdout
        return docker("exec", container, "cat", json.loads(command)[-1]).stdout

    def remember_what_runs(self) -> None:
        """An image says itself what is in it."""

    def outdated(self) -> list[str]:
        package = str(self.tool.tree / "techsapo_ops")
        wanted = subprocess.check_output([sys.executable, "-c", _DIGEST, package], text=True)
        held = {
            name: docker(
                "exec", self._containers()[name], "python", "-c", _DIGEST, "/opt/techsapo/techsapo_ops"
            ).stdout
            for name in self.urls()
        }
        return [name for name, digest in held.items() if digest != wanted]

    def _containers(self) -> dict[str, str]:
        return container_ids(self.project.spec["project"])


@contextmanager
def native_stack(folder: Path) -> Iterator[Stack]:
    """A stack on the native engine that the earlier version brought up; `folder` is for what is beside it."""
    away = folder / "away"
    with project(everything(away, 2, engine="native"), FOLDER) as made, cron() as daemon:
        stack = NativeStack(made, folder / "tool", daemon, away)
        stack.fill()
        yield stack


@contextmanager
def container_stack(lab: DockerLab, folder: Path) -> Iterator[Stack]:
    """The same in containers, with one instance."""
    away = folder / "away"
    spec = everything(away, 1, project=f"lab-upgrade-{os.getpid()}")
    known = replace(lab, images={k: v for k, v in lab.images.items() if k != "blackbox-exporter"})
    with docker_project(known, spec, FOLDER) as made, cron() as daemon:
        stack = ContainerStack(made, folder / "tool", daemon, away)
        stack.fill()
        yield stack
