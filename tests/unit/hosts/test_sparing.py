"""A host is spared and used again, and hosts join while another command may be at work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.three_hosts import fleet, of

from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.probe import ProbeResult
from techsapo_ops.adapters.textfile import read_textfile
from techsapo_ops.engines.swarm.engine import SwarmEngine
from techsapo_ops.engines.swarm.machines_note import note_machines
from techsapo_ops.engines.swarm.nodes import nodes_of, note_drained
from techsapo_ops.errors import OpsError
from techsapo_ops.hosts import drain as of_drain
from techsapo_ops.hosts import join
from techsapo_ops.hosts.drain import activate, drain, wait_ready
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.observed import Observed, Stopped, note_stopped
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology
from tests.fakes.open_stacks import open_stack
from tests.fakes.swarm_hosts import HostsFake


class Leading(SwarmEngine):
    """An engine of a stack that does not run; what leads can't be handed over for `reasons`."""

    def __init__(self, topology: Topology, fleet: Fleet, *reasons: str) -> None:
        super().__init__(topology, fleet)
        self.reasons = reasons
        self.drained_at_delivery: list[list[str]] = []

    def observe(self, *, measure: bool = False) -> Observed:
        assert not measure
        return Observed(False, {})

    def deliver(self) -> dict[str, str]:
        there = nodes_of(self.fleet.manager)
        note_drained(self.layout, self.topology.machines, there)
        self.drained_at_delivery.append([node.name for node in there if node.availability == "drain"])
        return {}

    def hand_over(self, machine: str) -> tuple[str, ...]:
        assert machine == "c"
        return self.reasons


REASON = "redis-c: no replica is in sync, so a switchover would lose writes"


def test_a_host_whose_master_can_t_be_handed_over_is_drained_in_somebody_s_explicit_word_alone(
    tmp_path: Path,
) -> None:
    hosts, stack = HostsFake().joined(), of(tmp_path)
    stack.layout.state.mkdir()
    opened, warned = open_stack(stack, Leading(stack, fleet(hosts, stack), REASON)), []

    def drained(*, force: bool) -> None:
        drain(opened, "c", force=force, wait=0, say=lambda _: None, warn=warned.append)

    with pytest.raises(OpsError, match="could not be handed over: redis-c: no replica is in sync") as refused:
        drained(force=False)

    assert "nothing was stopped" in refused.value.hint
    assert hosts.hosts["c"].node["Spec"]["Availability"] == "active"
    drained(force=True)
    assert hosts.hosts["c"].node["Spec"]["Availability"] == "drain"
    assert warned == [REASON]


def told_drained(topology: Topology) -> dict[str, float]:
    """The hosts that node exporters tell of as drained, with since when."""
    return {s.labels["drained"]: s.value for s in read_textfile(topology.layout.textfiles, "drained")}


def test_the_monitoring_knows_that_a_host_is_drained_before_all_has_stopped_until_all_is_ready_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts, stack = HostsFake().joined(), of(tmp_path)
    stack.layout.state.mkdir()
    engine = Leading(stack, fleet(hosts, stack))
    opened, seen = open_stack(stack, engine), []
    words = {"wait": 0, "say": lambda _: None, "warn": lambda _: None}
    monkeypatch.setattr(of_drain, "_wait_stopped", lambda *_: seen.append(set(told_drained(stack))))
    monkeypatch.setattr(of_drain, "wait_ready", lambda *_: seen.append(set(told_drained(stack))))

    drain(opened, "c", force=False, **words)
    activate(opened, "c", **words)

    assert seen == [{"c"}, {"c"}]
    assert engine.drained_at_delivery == [["c"], []]
    assert told_drained(stack) == {}


def test_what_somebody_has_stopped_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = of(tmp_path)
    stack.layout.state.mkdir()
    engine, asked = SwarmEngine(stack, fleet(HostsFake().joined(), stack)), []
    monkeypatch.setattr(engine.state, "load", lambda: dict.fromkeys(s.name for s in stack.services))

    def ask(service: Service, _: float) -> ProbeResult:
        asked.append(service.name)
        return ProbeResult(service.name != "nginx-c", "", 0.0)

    monkeypatch.setattr(engine, "prober_inside", lambda: ask)
    note_stopped(stack.layout, {"nginx-c": Stopped("somebody", datetime(2026, 11, 27, tzinfo=UTC))})
    wait_ready(engine, "c", lambda _: pytest.fail("it waits"))

    assert asked == [s.name for s in stack.on("c") if s.name != "nginx-c"]


class Lock:
    """The stack's lock, which others may hold; `seen` is what was done under it, and when it was shared."""

    def __init__(self) -> None:
        self.taken = False
        self.seen: list[str] = []

    @contextmanager
    def __call__(self, layout: Layout, wait: float, say: Callable[[str], None]) -> Iterator[int]:
        assert (layout.state.is_dir(), wait) == (True, 3.0)
        if self.taken:
            raise OpsError("another techsapo is at work")
        self.seen.append("alone")
        yield 1
        self.seen.append("shared")


@pytest.fixture
def lock(monkeypatch: pytest.MonkeyPatch) -> Lock:
    made = Lock()
    monkeypatch.setattr(join, "at_work", made)
    return made


def beside(hosts: HostsFake, folder: Path, lock: Lock, *, noted: bool = True) -> list[str]:
    stack = of(folder)
    if noted:
        note_machines(stack.layout.state, "techsapo", stack.machines)
    with join.beside_others(fleet(hosts, stack), stack.layout, 3.0, lambda _: None):
        lock.seen.append("joined")
    return lock.seen


def test_hosts_join_a_stack_under_its_lock_and_the_others_hear_of_it(tmp_path: Path, lock: Lock) -> None:
    assert beside(HostsFake().joined(), tmp_path, lock) == ["alone", "joined", "shared"]


def test_none_joins_while_somebody_else_is_at_work(tmp_path: Path, lock: Lock) -> None:
    lock.taken = True
    with pytest.raises(OpsError, match="at work"):
        beside(HostsFake().joined(), tmp_path, lock)
    assert lock.seen == []


def test_before_anything_was_brought_up_or_without_a_swarm_there_is_nobody_to_wait_for(
    tmp_path: Path, lock: Lock
) -> None:
    assert beside(HostsFake().joined(), tmp_path / "new", lock, noted=False) == ["joined"]
    assert not (tmp_path / "new/.techsapo").exists()
    lock.seen.clear()
    assert beside(HostsFake(), tmp_path / "lost", lock) == ["joined"], "all of them are to be joined anew"
