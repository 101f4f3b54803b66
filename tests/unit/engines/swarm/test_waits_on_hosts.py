"""What is waited for on several hosts, by a clock that goes on when somebody sleeps."""

from __future__ import annotations

import json
import math
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.probe import ProbeResult
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.engines.containers import engine, gate
from techsapo_ops.engines.containers.engine import ContainerEngine
from techsapo_ops.engines.containers.gate import Prober
from techsapo_ops.engines.swarm import watch
from techsapo_ops.errors import OpsError
from techsapo_ops.services.runtime import Settling
from techsapo_ops.stack.engine import GateError
from tests.fakes.swarm_stack import StackFake, on_three_hosts, running


class Made(StackFake):
    """Its containers were made at a moment."""

    def _entry(self, name: str) -> dict[str, object]:
        return {**super()._entry(name), "Created": "2026-11-27T03:00:00.1Z"}


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.5)


class ClockOfHosts(Clock):
    """The host c answers again once it is `back`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, hosts: StackFake) -> None:
        self.hosts = hosts
        self.back = math.inf
        for module in (watch, gate):
            monkeypatch.setattr(module, "time", self)
        monkeypatch.setattr(watch, "why_none", lambda *_: "")
        monkeypatch.setattr(Prober, "ask", lambda *_: ProbeResult(True, "", 0.0))

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        if self.now >= self.back:
            self.hosts.hosts["c"].silent = ""


def test_who_listens_here_has_no_port_of_another_machine(tmp_path: Path) -> None:
    engine, _ = running(on_three_hosts(tmp_path), Made)
    with socket.create_server(("127.0.0.1", 0)):
        assert engine.holders() == {}


@each_row("newer", ["", "2026-11-28"])
def test_a_service_of_a_machine_that_is_lost_is_not_waited_for_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, newer: str
) -> None:
    engine, hosts = running(on_three_hosts(tmp_path), Made)
    clock, began = ClockOfHosts(monkeypatch, hosts), ClockOfHosts.now
    service = next(s for s in engine.topology.services if s.name == "mysql-c")
    hosts.hosts["c"].silent = "timeout"

    with pytest.raises(
        GateError, match=r"mysql-c did not start: c can't be reached: no answer within"
    ) as lost:
        engine._watch.until_ready(service, None, newer)

    assert clock.now - began < 30
    assert "hosts check c" in lost.value.hint


def test_one_that_answers_again_in_time_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, hosts = running(on_three_hosts(tmp_path), Made)
    clock = ClockOfHosts(monkeypatch, hosts)
    clock.back = clock.now + 8
    service = next(s for s in engine.topology.services if s.name == "mysql-c")
    hosts.hosts["c"].silent = "timeout"

    engine._watch.until_ready(service)

    assert clock.now >= clock.back


PORT = "host-mode port already in use on 1 node"
CASES: list[dict[str, Any]] = read_yaml(
    (Path(__file__).parents[3] / "cases/swarm_updates.yaml").read_text(encoding="utf-8")
)
"""What Docker says of updates of Swarm, as it was recorded."""


@each_row("case", CASES, ids=[case["name"] for case in CASES])
def test_what_holds_an_update_up_or_ended_it_is_told(case: dict[str, Any]) -> None:
    words = {
        "stuck": case["reason"],
        "paused": f"Swarm gave up the update: {case['reason']}",
        "rolled back": f"Swarm rolled back to the previous version: {case['reason']}",
    }
    assert watch.reason(case["service"], case["tasks"]) == words.get(case["state"], "")


class Manager:
    """A Runner: a manager that has one service, recorded as `case`, or says `refusal`."""

    def __init__(self, case: dict[str, Any], refusal: str = "") -> None:
        self._case, self._refusal = case, refusal

    def run(self, command: Command, *, timeout: float = 0) -> Completed:
        """As a Runner."""
        del timeout
        if self._refusal:
            return Completed(command, 1, b"[]", self._refusal.encode())
        tasks_of = self._case["tasks"]
        said = {
            "service inspect": json.dumps([self._case["service"]]),
            "service ps": "\n".join(task["ID"] for task in tasks_of),
            "inspect --type": json.dumps(tasks_of),
        }[" ".join(command.argv[1:3])]
        return Completed(command, 0, said.encode(), b"")


def test_a_manager_is_asked_and_one_that_does_not_answer_is_no_service_that_is_well() -> None:
    stuck = next(case for case in CASES if case["name"] == "stuck-port")
    assert watch.why_none(Docker(Manager(stuck)), "web") == stuck["reason"]
    assert watch.why_none(Docker(Manager(stuck, "Error: no such service: web")), "web") == ""
    said = "Error response from daemon: rpc error: The swarm does not have a leader."
    assert said in watch.why_none(Docker(Manager(stuck, said)), "web")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(watch, "time", made)
    return made


def placed_after(clock: Clock, seconds: float) -> Callable[[], ContainerFacts | None]:
    """A look that finds a container once so many seconds have gone."""
    until = clock.now + seconds
    return lambda: object() if clock.now >= until else None  # type: ignore[return-value] # any will do


def test_a_reason_that_stays_is_the_last_word(clock: Clock) -> None:
    with pytest.raises(GateError, match=PORT):
        watch.wait_placed("web", placed_after(clock, 60), lambda: PORT, 60)
    assert clock.now < 110


def test_a_reason_that_passes_is_none(clock: Clock) -> None:
    """The place was freed, and Swarm has not yet looked again."""
    began = clock.now
    watch.wait_placed("web", placed_after(clock, 6), lambda: PORT if 1 < clock.now - began < 4 else "", 60)


def test_one_that_drains_for_long_is_waited_for_and_swarm_is_not_asked_at_every_look(clock: Clock) -> None:
    asked: list[float] = []

    def why() -> str:
        asked.append(clock.now)
        return ""

    watch.wait_placed("web", placed_after(clock, 27), why, 60)
    assert 8 < len(asked) < 20


def test_it_is_not_waited_for_without_end(clock: Clock) -> None:
    with pytest.raises(GateError, match="no container within 60 s"):
        watch.wait_placed("web", placed_after(clock, 100), lambda: "", 60)


ASK = Command(("mariadb",))


def settle(monkeypatch: pytest.MonkeyPatch, said: list[bytes], *passes: str) -> None:
    """Settle in a container whose command fails with each of `said` in turn, and then works."""

    def execute(*_: object, **__: object) -> Completed:
        return Completed(ASK, 1, b"", said.pop(0)) if said else Completed(ASK, 0, b"", b"")

    settling = Settling(ASK, "the logins can't be set", "look", passes)
    monkeypatch.setattr(engine, "runtime_of", lambda _: SimpleNamespace(settling=lambda _: settling))
    monkeypatch.setattr(engine, "_PAUSE", 0.0)
    running: Any = SimpleNamespace(docker=SimpleNamespace(execute=execute), topology=None)
    place: Any = SimpleNamespace(kind="mysql", id="c1")
    ContainerEngine._settle_kind(running, place, place)


def test_what_may_pass_is_tried_again_but_not_without_end_and_what_may_not_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unready = b"ERROR 1047: WSREP has not yet prepared node"
    settle(monkeypatch, [unready] * 3, "WSREP has not yet prepared")
    said = [b"ERROR 1045: Access denied"] * 2
    with pytest.raises(OpsError, match="the logins can't be set"):
        settle(monkeypatch, said, "WSREP has not yet prepared")
    assert len(said) == 1
    monkeypatch.setattr(engine, "_SETTLING_SECONDS", 0.05)
    for passes in ((), ("WSREP",)):
        with pytest.raises(OpsError, match="WSREP"):
            settle(monkeypatch, [unready] * 1_000_000, *passes)
