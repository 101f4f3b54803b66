"""Applies in the record of administration, and who may write it."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.memory_project import MemoryProject

from techsapo_ops.errors import OpsError
from techsapo_ops.operations.administration import Action, actions, chain_of
from techsapo_ops.operations.apply.stop import down


@pytest.fixture
def project(tmp_path: Path) -> MemoryProject:
    return MemoryProject(tmp_path)


def done(project: MemoryProject) -> tuple[Action, ...]:
    return actions(chain_of(project.stack().layout).read())


def test_an_apply_is_recorded_with_its_number_and_how_it_ended(project: MemoryProject) -> None:
    project.up()
    project.up()  # changes nothing, and is no action
    project.up(sections={"redis": {"maxmemory": "300M"}})
    project.rollback()
    assert [(a.action, a.outcome, a.what["apply"]) for a in done(project)] == [
        ("up", "done", 1), ("up", "done", 2), ("rollback", "done", 3),
    ]  # fmt: skip
    assert done(project)[2].what["restores"] == 1
    assert not chain_of(project.stack().layout).read().breaks


def test_an_apply_that_can_not_be_recorded_touches_nothing(project: MemoryProject) -> None:
    project.up()
    path = chain_of(project.stack().layout).path
    path.unlink()
    path.mkdir()
    told = list(project.world.told)
    with pytest.raises(OpsError, match="up was not done, because it can't be recorded"):
        project.up(sections={"redis": {"maxmemory": "300M"}})
    assert project.world.told == told
    assert len(project.ledger.entries()) == 1


def test_a_stack_is_stopped_though_that_can_not_be_recorded(project: MemoryProject) -> None:
    project.up()
    path = chain_of(project.stack().layout).path
    path.unlink()
    path.mkdir()
    warned: list[str] = []
    assert down(project.engine, warn=warned.append)
    assert "down can't be recorded" in warned[0]
