"""An image that is built on one machine comes to the others through a registry, or from machine to machine.

Debian's docker-registry, outside of the machines.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from docker_lab import docker
from machines import HUB, binary
from servers import wait_for

from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.process import SubprocessRunner
from techsapo_ops.engines.swarm.images import bring
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.desired import ContainerUnit
from tests.swarm.figures import Figures
from tests.swarm.ground import Ground

_PORT = 5000
_REGISTRY = f"{HUB}:{_PORT}/shop"
_SIZE = 30_000_000
"""Bytes that each image has beyond the one that it is made from."""


def prove(ground: Ground, found: Figures) -> None:
    """Once each way, and once where the registry is gone."""
    lab = ground.lab
    fleet = Fleet(SubprocessRunner(), "docker", {name: m.docker for name, m in lab.machines.items()})
    with tempfile.TemporaryDirectory(prefix="techsapo-registry-") as name:
        folder = Path(name)
        with _registry(ground, folder):
            for number, registry in enumerate((None, _REGISTRY)):
                unit = _unit(folder, number, lab.images["redis"])
                began = time.monotonic()
                bring(fleet, "shop", folder, [unit], lambda _: None, registry=registry)
                way = "through the registry" if registry else "by save and load"
                found.add(f"built, and on all machines, {way}", "s", [time.monotonic() - began])
                for machine in lab.machines.values():
                    names = docker("-H", machine.docker, "image", "ls", "--format", "{{.Repository}}").stdout
                    assert unit.image.partition(":")[0] in names.split()
                    assert HUB not in names, names
                    run = ("run", "--rm", "--pull", "never", unit.image, "redis-cli", "--version")
                    assert "redis-cli" in docker("-H", machine.docker, *run).stdout
        unit = _unit(folder, 2, lab.images["redis"])
        with pytest.raises(OpsError, match="cannot push") as refused:
            bring(fleet, "shop", folder, [unit], lambda _: None, registry=_REGISTRY)
        found.notes.append(f"Where the registry is gone: {refused.value.message} ({refused.value.hint})")


@contextmanager
def _registry(ground: Ground, folder: Path) -> Iterator[None]:
    config = folder / "registry.yml"
    storage = {"filesystem": {"rootdirectory": str(folder / "registry")}}
    http = {"addr": f"{HUB}:{_PORT}"}
    config.write_text(yaml.safe_dump({"version": 0.1, "storage": storage, "http": http}))
    argv = [*ground.lab.enter_hub(), binary("docker-registry"), "serve", str(config)]
    with (folder / "log").open("w") as log, subprocess.Popen(argv, stdout=log, stderr=log) as process:
        try:
            wait_for(lambda: ground.lab.reaches("a", HUB, _PORT), timeout=60, what="the registry")
            yield
        finally:
            process.kill()


def _unit(folder: Path, number: int, base: str) -> ContainerUnit:
    """One whose image is made of `base` and bytes that nobody else has."""
    image = f"shop/proof-{number}:1"
    context = folder / f"context-{number}"
    context.mkdir()
    (context / "Dockerfile").write_text(f"FROM {base}\nCOPY bytes /bytes\n")
    (context / "bytes").write_bytes(os.urandom(_SIZE))
    service = {"image": image, "build": {"context": context.name}}
    file = folder / f"stack-{number}.yml"
    file.write_text(yaml.safe_dump({"services": {"proof": service}}))
    return ContainerUnit(service="proof", file=file.name, image=image, definition="{}", builds=True)
