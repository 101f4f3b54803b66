"""The way back from an apply, where a machine was lost meanwhile: the others go back, and it is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stacks import rendered

from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.apply.outcome import not_back
from techsapo_ops.apply.steps import without_lost
from techsapo_ops.engines.swarm import engine as engines
from techsapo_ops.engines.swarm.engine import SwarmEngine
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.desired import Desired, RenderedFile
from techsapo_ops.stack.step import Action, Step
from tests.fakes.swarm_stack import StackFake, on_three_hosts, running


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[SwarmEngine, StackFake]:
    """What the engine prepares is noted in `hosts.done`: what, and who is left out of it."""
    made, hosts = running(on_three_hosts(tmp_path))

    def noted(what: str) -> Any:
        return lambda *_, **__: hosts.done.append((what,))

    def brought(fleet: Fleet, *_: Any, **__: Any) -> None:
        hosts.done.append(("images", *fleet.members))

    monkeypatch.setattr(engines.images, "bring", brought)
    monkeypatch.setattr(made, "_write_folders", lambda _, away: hosts.done.append(("folders", *away)))
    monkeypatch.setattr(engines.nodes, "label", noted("labels"))
    monkeypatch.setattr(engines, "require_network", lambda *_: None)
    monkeypatch.setattr(engines, "before_steps", lambda *_: None)
    monkeypatch.setattr(made, "share", lambda: hosts.done.append(("share",)))
    return made, hosts


def desired(engine: SwarmEngine) -> Desired:
    files = rendered(engine.topology.spec, engine.topology)
    stack = RenderedFile("swarm/stack.yml", files["swarm/stack.yml"].content)
    return Desired(engine.topology, (stack,), ())


def test_an_apply_is_of_all_machines_and_its_way_back_of_those_that_answer(
    prepared: tuple[SwarmEngine, StackFake],
) -> None:
    engine, hosts = prepared
    hosts.hosts["c"].silent = "timeout"
    with pytest.raises(OpsError, match="can be reached"):
        engine.prepare(desired(engine))
    assert hosts.done == []

    lost = engine.begin_back()
    engine.prepare(desired(engine))

    assert list(lost) == ["c"]
    assert hosts.done == [("share",), ("images", "a", "b"), ("folders", "c"), ("labels",)]


def test_without_a_quorum_nobody_goes_back(tmp_path: Path) -> None:
    engine, hosts = running(on_three_hosts(tmp_path))
    for name in "abc":
        hosts.hosts[name].silent = "timeout"
    with pytest.raises(OpsError, match="a, b, c can't be reached"):
        engine.begin_back()


def test_one_that_was_lost_is_passed_over_and_told_how_it_gets_in_line(tmp_path: Path) -> None:
    steps = [Step(Action.RESTART, name, "changed") for name in ("redis-a", "redis-c", "left-over")]
    found = without_lost(steps, Desired(on_three_hosts(tmp_path), (), ()), {"c": "no answer"})
    assert [step.service for step in found] == ["redis-a", "left-over"]
    told = not_back({"c": "no answer"}, 4)
    assert told is not None
    assert told.message.startswith("some hosts were not rolled back (c: no answer)")
    assert "techsapo rollback @4" in told.hint
    assert "hosts replace c" in told.hint
    assert not_back({}, 4) is None
