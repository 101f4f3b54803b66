"""A failover that is drilled: what it measures, and that what is lost always comes back."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.open_stacks import open_stack
from fakes.swarm_stack import StackFake
from fakes.three_hosts import fleet, of

from techsapo_ops.drills import failover as course
from techsapo_ops.drills.failover import failover
from techsapo_ops.drills.faults import LostHost, chosen
from techsapo_ops.drills.outcome import Attempt, Outcome, Request
from techsapo_ops.drills.report import Report
from techsapo_ops.drills.traffic import Load
from techsapo_ops.engines.swarm.engine import SwarmEngine
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.topology import Topology

AT = datetime(2026, 11, 27, 3, 40, tzinfo=UTC)


@dataclass
class Lost:
    """What is lost, in memory: away for ten seconds, and back at the second look."""

    refused: tuple[str, ...] = ()
    meanwhile: Callable[[], object] = tuple
    returns: bool = True
    name: str = "c"
    alone: bool = False
    done: list[str] = field(default_factory=list)

    def before(self) -> Iterable[str]:
        return self.refused

    def strike(self) -> None:
        self.done.append("lost")

    def over(self, passed: float) -> bool:
        self.meanwhile()
        return passed >= 10

    def put_back(self) -> str:
        self.done.append("put back")
        return ""

    def missing(self) -> tuple[str, ...]:
        self.done.append("looked")
        back = self.returns and self.done.count("looked") > 1
        return () if back else ("c is not ready",)

    def facts(self) -> dict[str, str]:
        return {"killed": self.name}


@dataclass
class World:
    """A stack without Prometheus, and traffic whose clock goes on by itself."""

    stack: Stack
    requests: tuple[Request, ...] = ()
    rows: Counter[str] = field(default_factory=Counter)

    def drill(self, lost: Lost) -> Report:
        begin = partial(Report, "20261127T034000Z-failover-host", "failover-host", "t", "swarm", "0.3", AT)
        return failover(self.stack, begin, lost, Load("http://x", Secret("k")))


@pytest.fixture
def world(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(replace(stack, pause=lambda _: None))
    clock = itertools.count(0.0, 0.5)
    traffic = SimpleNamespace(now=lambda: next(clock), outcome=lambda: Outcome(60.0, made.requests))
    for name, value in {
        "alone": lambda _: nullcontext(),
        "prometheus_of": lambda _: None,
        "Traffic": lambda _: nullcontext(traffic),
        "drill_rows_of": lambda *_: made.rows,
    }.items():
        monkeypatch.setattr(course, name, value)
    monkeypatch.setattr(course, "ROWS", 0.0)
    return made


def answered(name: str, began: float = 20.0) -> Request:
    return Request(name, began, [Attempt(began, began + 0.1, 200, "", "app-1", name)], done=True)


def test_the_report_has_the_times_and_what_users_would_have_noticed(world: World) -> None:
    world.requests = (answered("a", 1.0), answered("b"))
    world.rows = Counter("ab")
    report = world.drill(lost := Lost())
    assert lost.done == ["lost", "put back", "looked", "looked"]
    assert report.ok, report.missed
    assert {phase.name for phase in report.phases} == {"failover", "recovery"}
    assert all(phase.seconds is not None for phase in report.phases)
    assert (report.counts["sent"], report.counts["lost_writes"]) == (2, 0)


def test_a_lost_write_and_one_that_was_carried_out_twice_are_misses(world: World) -> None:
    world.requests = tuple(map(answered, "abc"))
    world.rows = Counter("acc")
    assert world.drill(Lost()).missed == ("requests missing from the audit log: b", "requests run twice: c")


def test_what_was_under_way_where_it_was_lost_may_be_carried_out_again(world: World) -> None:
    struck = Request("a", 3.0, [Attempt(3.0, 9.0, 200, "", "app-2", "y")], done=True)
    world.requests, world.rows = (struck, answered("b")), Counter("aab")
    report = world.drill(Lost())
    assert report.ok
    assert report.counts["carried_out_again"] == 1


def test_it_is_refused_before_anything_is_touched(world: World) -> None:
    with pytest.raises(OpsError, match="not started: b is already drained"):
        world.drill(lost := Lost(refused=("b is already drained",)))
    assert lost.done == []


def test_ctrl_c_brings_it_back_at_once(world: World) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.drill(lost := Lost(meanwhile=interrupt))
    assert lost.done == ["lost", "put back", "looked", "looked"]


def test_what_does_not_come_back_is_an_error(world: World) -> None:
    with pytest.raises(OpsError, match=r"not everything is back after \d+ s: c is not ready"):
        world.drill(Lost(returns=False))


@pytest.fixture
def there(tmp_path: Path) -> Topology:
    return of(tmp_path, floating_address="10.0.0.100/24")


@pytest.fixture
def hosts(there: Topology) -> StackFake:
    return StackFake(there)


@pytest.fixture
def swarm(there: Topology, hosts: StackFake) -> Stack:
    there.layout.state.mkdir(parents=True, exist_ok=True)
    return replace(open_stack(there, SwarmEngine(there, fleet(hosts, there)), hosts), pause=lambda _: None)


def test_a_drill_is_refused_before_anybody_is_asked_where_a_host_does_not_answer(
    swarm: Stack, hosts: StackFake
) -> None:
    hosts.hosts["b"].silent = "timeout"
    with pytest.raises(OpsError, match="the drill was not started: b can't be reached") as refused:
        chosen(swarm, "a", 9)
    assert "hosts check" in refused.value.hint


def test_the_host_with_the_address_is_lost_where_none_is_named(swarm: Stack, hosts: StackFake) -> None:
    hosts.answer = lambda service, *_: "MASTER" if service == "keepalived-c" else "BACKUP"
    assert (chosen(swarm, None, 9).name, chosen(swarm, "b", 9).name) == ("c", "b")


def test_a_lost_host_gives_its_address_up_and_swarm_starts_nothing_there(
    swarm: Stack, hosts: StackFake
) -> None:
    asked: list[tuple[str, tuple[str, ...]]] = []

    def says(service: str, words: tuple[str, ...], _: Any) -> str:
        asked.append((service, words))
        return ""

    hosts.answer = says
    lost = LostHost(swarm, "c", 20, "c")
    lost.strike()
    ((service, words),) = asked
    assert (service, words[-1]) == ("keepalived-c", "10.0.0.100/24")
    killed, drained = hosts.done
    assert set(killed[2:]) == {s.name for s in swarm.topology.on("c")}
    assert drained == ("node", "update", "--availability", "drain", "node-of-c-0")
    assert lost.put_back() == ""
    assert hosts.done[-1] == ("node", "update", "--availability", "active", "node-of-c-0")
