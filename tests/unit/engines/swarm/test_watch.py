"""A service is waited for while its machine can be asked, by a clock that goes on when somebody sleeps."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from rows import each_row
from stacks import spec, topology

from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.probe import ProbeResult
from techsapo_ops.engines.containers import gate
from techsapo_ops.engines.containers.probing import Prober
from techsapo_ops.engines.swarm import tasks, watch
from techsapo_ops.engines.swarm.engine import SwarmEngine
from techsapo_ops.stack.engine import GateError
from tests.fakes.swarm_stack import StackFake


class Made(StackFake):
    """Its containers were made at a moment."""

    def _entry(self, name: str) -> dict[str, object]:
        return {**super()._entry(name), "Created": "2026-11-27T03:00:00.1Z"}


class Clock:
    now = 100.0

    def __init__(self, monkeypatch: pytest.MonkeyPatch, hosts: StackFake) -> None:
        self.hosts = hosts
        self.back: float | None = None
        for module in (watch, tasks, gate):
            monkeypatch.setattr(module, "time", self)
        monkeypatch.setattr(tasks, "why_none", lambda *_: "")
        monkeypatch.setattr(Prober, "ask", lambda *_: ProbeResult(True, "", 0.0))

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.5)
        if self.back is not None and self.now >= self.back:
            self.hosts.hosts["c"].silent = ""


def engine_of(folder: Path) -> tuple[SwarmEngine, StackFake]:
    machines = {n: {"address": f"10.0.0.{i}", "docker": f"ssh://ops@{n}"} for i, n in enumerate("abc", 1)}
    stack = topology(spec(engine="swarm", hosts=machines, mysql={}), folder, "swarm")
    hosts = Made(stack)
    return SwarmEngine(stack, Fleet(hosts, "docker", {m.name: m.docker for m in stack.machines})), hosts


def test_who_listens_here_has_no_port_of_another_machine(tmp_path: Path) -> None:
    engine, _ = engine_of(tmp_path)
    with socket.create_server(("127.0.0.1", 0)):
        assert engine.holders() == {}


@each_row("newer", ["", "2026-11-28"])
def test_a_service_of_a_machine_that_is_lost_is_not_waited_for_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, newer: str
) -> None:
    engine, hosts = engine_of(tmp_path)
    clock, began = Clock(monkeypatch, hosts), Clock.now
    service = next(s for s in engine.topology.services if s.name == "mysql-c")
    hosts.hosts["c"].silent = "timeout"

    with pytest.raises(
        GateError, match=r"mysql-c did not start: c can't be reached: it did not answer within"
    ) as lost:
        engine._watch.until_ready(service, None, newer)

    assert clock.now - began < 30
    assert "hosts check c" in lost.value.hint


def test_one_that_answers_again_in_time_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, hosts = engine_of(tmp_path)
    clock = Clock(monkeypatch, hosts)
    clock.back = clock.now + 8
    service = next(s for s in engine.topology.services if s.name == "mysql-c")
    hosts.hosts["c"].silent = "timeout"

    engine._watch.until_ready(service)

    assert clock.now >= clock.back
