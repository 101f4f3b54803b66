"""Applies in the record of administration, and who may write it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from fakes.memory_project import MemoryProject, refuses

from techsapo_ops.errors import OpsError
from techsapo_ops.operations.administration import Action, actions, chain_of, verify
from techsapo_ops.operations.apply.stop import down
from techsapo_ops.stack.layout import Layout


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
    assert verify(chain_of(project.stack().layout).read(), ()).ok


def test_an_apply_that_went_back_is_recorded_as_failed_with_the_reason(project: MemoryProject) -> None:
    project.up()
    project.world.refused = refuses("redis", "314572800", why="redis is broken")
    project.up(sections={"redis": {"maxmemory": "300M"}})
    failed = done(project)[-1]
    assert (failed.outcome, failed.what["result"], failed.what["back_to"]) == ("failed", "rolled-back", 1)


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


def test_who_is_at_work_is_recorded_and_what_the_environment_holds_is_not(
    project: MemoryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TECHSAPO_API_KEY", "tsk_hunter2")
    monkeypatch.setenv("SSH_CONNECTION", "203.0.113.7 51234 192.0.2.1 22")
    project.up()
    (apply,) = done(project)
    assert (apply.who["uid"], apply.who["ssh"]) == (os.getuid(), "203.0.113.7 51234")
    assert "hunter2" not in chain_of(project.stack().layout).path.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root acts for another user")
def test_root_at_work_on_an_operator_s_stack_leaves_the_operator_able_to_go_on(tmp_path: Path) -> None:
    state = tmp_path / ".techsapo"
    state.mkdir()
    os.chown(state, 12345, 12345)
    chain = chain_of(Layout(state=state, config=state / "generated"))
    chain.append({"action": "keys create"})
    for path in (chain.path.parent, chain.path, chain.path.parent / "key"):
        assert (path.stat().st_uid, path.stat().st_mode & 0o077) == (12345, 0)


def test_a_line_of_the_record_is_json_with_a_number_a_time_a_hash_and_a_mac(project: MemoryProject) -> None:
    project.up()
    first, second = map(json.loads, chain_of(project.stack().layout).path.read_text().splitlines())
    assert first["previous"] == "0" * 64
    assert (first["sequence"], second["sequence"], second["of"]) == (1, 2, 1)
    assert {"time", "key", "mac", "action", "outcome", "who", "what"} <= set(first)
