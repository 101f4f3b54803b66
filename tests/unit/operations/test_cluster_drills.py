"""Drills of several machines: when they are refused, and that what they take away is always put back."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from stacks import spec, topology

from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.cli import newest_state
from techsapo_ops.engines.swarm.engine import SwarmEngine
from techsapo_ops.engines.swarm.machines_note import MachinesNote
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.drills.cluster import course as courses
from techsapo_ops.operations.drills.cluster import faults, under_way
from techsapo_ops.operations.drills.cluster.course import course, finish
from techsapo_ops.operations.drills.cluster.plan import Taking, planned
from techsapo_ops.operations.drills.cluster.under_way import UnderWay, note_under_way
from techsapo_ops.operations.drills.load import Load
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.stack import Stack
from tests.fakes.open_stacks import open_stack
from tests.fakes.swarm_stack import StackFake

MASTER = {
    "SENTINEL MASTER": "name\ntechsapo\nip\n10.0.0.2\nconfig-epoch\n7",
    "SENTINEL REPLICAS": "\n".join(
        f"name\n{at}\nip\n{at}\nflags\nslave\nmaster-link-status\nok" for at in ("10.0.0.1", "10.0.0.3")
    ),
}


def says(service: str, words: tuple[str, ...], _: Any) -> str:
    """The master is on b, the front's address on c."""
    if words[0] == "cat":
        return "MASTER" if service == "keepalived-c" else "BACKUP"
    text = " ".join(words)
    return next((said for asked, said in MASTER.items() if asked in text), "")


@pytest.fixture
def hosts(tmp_path: Path) -> StackFake:
    return StackFake(where(tmp_path), says)


def where(folder: Path, **sections: Any) -> Any:
    machines = {n: {"address": f"10.0.0.{i}", "docker": f"ssh://ops@{n}"} for i, n in enumerate("abc", 1)}
    sections = {"mysql": {}, "floating_address": "10.0.0.100/24", **sections}
    return topology(spec(engine="swarm", hosts=machines, **sections), folder, "swarm")


@pytest.fixture
def stack(tmp_path: Path, hosts: StackFake) -> Stack:
    return on(hosts, tmp_path)


def on(hosts: StackFake, folder: Path, **sections: Any) -> Stack:
    found = where(folder, **sections)
    fleet = Fleet(hosts, "docker", {m.name: m.docker for m in found.machines})
    found.layout.state.mkdir(parents=True, exist_ok=True)
    return replace(open_stack(found, SwarmEngine(found, fleet), hosts), pause=lambda _: None)


def engine(stack: Stack) -> SwarmEngine:
    return cast(SwarmEngine, stack.engine)


def test_a_drill_is_refused_before_anybody_is_asked_where_a_host_does_not_answer(
    stack: Stack, hosts: StackFake
) -> None:
    hosts.hosts["b"].silent = "timeout"
    with pytest.raises(OpsError, match="the drill was not begun: b can't be reached") as refused:
        planned(stack, "failover-host", "a", 9)
    assert "hosts check" in refused.value.hint


def test_a_lost_host_gives_its_address_up_and_swarm_starts_nothing_there(
    stack: Stack, hosts: StackFake
) -> None:
    asked: list[tuple[str, tuple[str, ...]]] = []
    hosts.answer = lambda service, words, _: asked.append((service, words)) or ""
    faults.lose_host(engine(stack), "c")
    ((service, words),) = asked
    assert (service, words[-1]) == ("keepalived-c", "10.0.0.100/24")
    killed, drained = hosts.done
    assert set(killed[2:]) == {s.name for s in stack.topology.on("c")}
    assert drained == ("node", "update", "--availability", "drain", "node-of-c-0")
    faults.put_back(engine(stack), UnderWay("failover-host", "c", "", "now"))
    assert hosts.done[-1] == ("node", "update", "--availability", "active", "node-of-c-0")
    faults.put_back(engine(stack), UnderWay("failover-host", "c", "", "now"))
    assert len(hosts.done) == 3


class Stand:
    """What surrounds a course: traffic whose clock goes on by itself, and faults that are noted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.lacking: tuple[str, ...] = ()
        self.hindered = ""
        self.during: Callable[[], str] = lambda: ""
        self.refuses_back = False
        clock = itertools.count(0.0, 0.5)
        traffic = SimpleNamespace(now=lambda: next(clock), running=True, end=lambda: None)
        for name, made in {
            "alone": lambda _: nullcontext(),
            "missing": lambda *_: self.lacking,
            "front_host": lambda _: "c",
            "hindrance": lambda _: self.hindered,
            "prometheus_of": lambda _: None,
            "Traffic": lambda _: nullcontext(traffic),
        }.items():
            monkeypatch.setattr(courses, name, made)
        monkeypatch.setattr(courses.Guards, "during", lambda _: self.during())
        ready = iter([False, False])
        well = SimpleNamespace(ok=True)
        monkeypatch.setattr(
            SwarmEngine, "prober_inside", lambda _: lambda *_: SimpleNamespace(ok=next(ready, well.ok))
        )
        monkeypatch.setattr(SwarmEngine, "share", lambda _: self.done.append("share"))
        for name in ("lose_host", "lose_service", "cut_off"):
            monkeypatch.setattr(faults, name, lambda *_, name=name: self.done.append(name))
        monkeypatch.setattr(faults, "cut_at", lambda *_: 7.0)
        monkeypatch.setattr(faults, "put_back", self._put_back)

    def _put_back(self, *_: Any) -> None:
        if self.refuses_back:
            raise OpsError("the host does not answer")
        self.done.append("back")

    def go(self, stack: Stack, taking: Taking) -> courses.Seen:
        return course(stack, taking, Load("http://x", Secret("k")), (), lambda _: None)[0]


@pytest.fixture
def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    return Stand(monkeypatch)


HOST = Taking("failover-host", "c", seconds=20)


def test_what_is_taken_is_noted_before_and_put_back_after(stand: Stand, stack: Stack) -> None:
    seen = stand.go(stack, HOST)
    assert stand.done == ["share", "lose_host", "back"]
    assert seen.struck is not None
    assert seen.back is not None
    assert seen.back > seen.struck
    assert seen.facts["redis"] == "redis-b → redis-b"
    assert under_way.under_way(stack.layout) is None


def test_it_is_refused_before_anything_is_touched(stand: Stand, stack: Stack) -> None:
    stand.lacking = ("b is drained already",)
    with pytest.raises(OpsError, match="not begun: b is drained already"):
        stand.go(stack, HOST)
    stand.lacking, stand.hindered = (), "maintenance is on"
    with pytest.raises(OpsError, match="maintenance is on"):
        stand.go(stack, HOST)
    stand.hindered = ""
    note_under_way(stack.layout, UnderWay("partition", "a", "", "2026-11-27T03:00:00Z"))
    with pytest.raises(OpsError, match="partition of a, begun 2026-11-27T03:00:00Z, was cut short"):
        stand.go(stack, HOST)
    assert stand.done == []


def test_ctrl_c_and_a_guard_put_it_back_at_once(stand: Stand, stack: Stack) -> None:
    def interrupt() -> str:
        if "lose_host" in stand.done:
            raise KeyboardInterrupt
        return ""

    stand.during = interrupt
    with pytest.raises(KeyboardInterrupt):
        stand.go(stack, HOST)
    assert stand.done[-1] == "back"
    assert under_way.under_way(stack.layout) is None
    stand.during = lambda: "the critical alert X fires" if stand.done.count("lose_host") > 1 else ""
    seen = stand.go(stack, HOST)
    assert seen.stopped == "the critical alert X fires"
    assert stand.done[-1] == "back"


def test_what_could_not_be_put_back_is_told_by_the_next_command_and_finished_by_another(
    stand: Stand, stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand.refuses_back = True
    with pytest.raises(OpsError, match="does not answer"):
        stand.go(stack, HOST)
    monkeypatch.setattr(newest_state, "refresh", lambda *_: None)
    note = MachinesNote("techsapo", stack.topology.machines)
    monkeypatch.setattr(newest_state, "somebody_at_work", lambda *_: True)
    newest_state.bring_newest(stack.layout, note)
    assert capsys.readouterr().err == ""  # of another host, which is at it
    monkeypatch.setattr(newest_state, "somebody_at_work", lambda *_: False)
    newest_state.bring_newest(stack.layout, note)
    assert "drill failover-host of c" in (said := capsys.readouterr().err)
    assert "`techsapo drill put-back`" in said
    stand.refuses_back = False
    found = finish(stack, lambda _: None)
    assert found is not None
    assert found.host == "c"
    assert finish(stack, lambda _: None) is None
