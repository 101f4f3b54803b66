"""What follows in a service that is ready, such as migrations: before what needs it, and before the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fakes.memory_project import MemoryProject

from techsapo_ops.errors import OpsError
from techsapo_ops.operations.apply.up import up
from techsapo_ops.stack.engine import Access
from techsapo_ops.stack.follow import Following
from techsapo_ops.stack.topology import Topology


class Told(Following):
    """Keeps what it was told beside what the engine was, and refuses one service."""

    def __init__(self, world_told: list[str], refused: str = "") -> None:
        self.world_told = world_told
        self.refused = refused

    def ready(self, access: Access, topology: Topology, service: str) -> None:
        self.world_told.append(f"ready {service}")
        if service == self.refused:
            raise OpsError(f"{service} can't be migrated")

    def settled(self, access: Access, topology: Topology) -> None:
        self.world_told.append("settled")


@pytest.fixture
def project(tmp_path: Path) -> MemoryProject:
    return MemoryProject(tmp_path)


def test_it_follows_before_the_next_service_starts_and_once_all_runs(project: MemoryProject) -> None:
    told = project.world.told
    up(replace(project.stack(), following=Told(told)), project.said)
    assert told == ["prepare", "create redis", "ready redis", "create app", "ready app", "settled"]


def test_what_needs_a_service_that_could_not_be_followed_up_is_not_started(project: MemoryProject) -> None:
    told = project.world.told
    report = up(replace(project.stack(), following=Told(told, "redis")), project.said)
    assert report is not None
    failed = {o.step.service: o.error.message for o in report.failures if o.error}
    assert failed["redis"] == "redis can't be migrated"
    assert "create app" not in told
    assert "settled" not in told
