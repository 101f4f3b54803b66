"""Services of several machines that are stopped, and throwaway ones beside them."""

from __future__ import annotations

import socket
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from machines_spec import machines_topology
from rows import each_row

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.engines.containers import access as containers
from techsapo_ops.engines.swarm import access
from techsapo_ops.engines.swarm.access import SwarmAccess
from techsapo_ops.errors import OpsError
from tests.fakes.swarm_nodes import nodes_answer


class Stopping(Fleet):
    """Machines on which redis-a ends some looks after Swarm was told that it is to end."""

    def __init__(
        self, *, tasks: list[str], states: list[str], away: tuple[str, ...] = (), cut_off: bool = False
    ) -> None:
        self.said: list[tuple[str, ...]] = []
        self._cut_off = cut_off
        self._tasks, self._states, self._away = tasks, states, away
        super().__init__(self, "docker", {name: f"unix:///{name}" for name in "abc"})

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        words = command.argv[3:]
        if words[0] == "node":
            return Completed(command, 0, b"id", b"")
        if words[0] == "system":
            status = {"ManagerStatus": {"Reachability": "unreachable"}} if self._cut_off else {}
            return Completed(command, 0, nodes_answer({"a": "a"}, **status).encode(), b"")
        if words[0] == "image":
            return Completed(command, 0, b"", b"")
        self.said.append(words)
        out = self._tasks.pop(0) if words[1] == "ps" else ""
        return Completed(command, 0, out.encode(), b"")

    def containers(self, project: str | None = None) -> tuple[ContainerFacts, ...]:
        """As the machines list them; the first look is the one by which the service is found."""
        stopped = any(words[1] == "update" for words in self.said)
        self.unreachable = dict.fromkeys(self._away, "no answer") if stopped else {}
        state = self._states.pop(0) if stopped and len(self._states) > 1 else self._states[0]
        facts = ("id", "redis-a", "techsapo", "redis-a", Path("/"), state, "sha256:1", "redis", "")
        return (ContainerFacts(*facts),)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "_PAUSE", 0.0)


def test_a_service_is_stopped_once_nothing_of_it_runs(tmp_path: Path) -> None:
    """Swarm says yes at once: a Redis that still ran wrote into what a restore had just put."""
    fleet = Stopping(
        tasks=["Running 3 minutes ago", "Shutdown 1 second ago", "Shutdown 1 second ago\nFailed 2 days ago"],
        states=["running", "running", "exited"],
    )
    SwarmAccess(machines_topology(tmp_path), fleet).halt("redis-a")
    assert fleet.said[0][:2] == ("service", "update")
    assert access.HALTED in fleet.said[0]
    assert [words[:2] for words in fleet.said[1:]] == [("service", "ps")] * 3, "task and container ended"


def test_nobody_says_that_a_service_ended_on_a_machine_that_does_not_answer(tmp_path: Path) -> None:
    fleet = Stopping(tasks=["Shutdown 1 second ago"], states=["running"], away=("a",))
    with pytest.raises(OpsError, match="a can't be reached: no answer") as error:
        SwarmAccess(machines_topology(tmp_path), fleet).halt("redis-a")
    assert error.value.hint == "redis-a may still be running on that host"


def test_a_service_that_does_not_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "_STOP_SECONDS", -10.0)
    fleet = Stopping(tasks=["Running 3 minutes ago"], states=["running"])
    with pytest.raises(OpsError, match="redis-a did not end within 0 s"):
        SwarmAccess(machines_topology(tmp_path), fleet).halt("redis-a")


def test_a_stop_that_a_cut_off_machine_does_not_hear_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_HEARD_SECONDS", -1.0)
    fleet = Stopping(tasks=["Running 3 minutes ago"], states=["running"], cut_off=True)
    with pytest.raises(
        OpsError, match="the other hosts can't reach host a, so redis-a is still running on that host"
    ):
        SwarmAccess(machines_topology(tmp_path), fleet).halt("redis-a")
    assert "--constraint-rm" in fleet.said[-1]


@each_row("computer, asked", [("b", "unix:///b"), ("elsewhere", "unix:///a")])
def test_a_throwaway_server_is_where_its_folder_is(
    computer: str, asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was started by whichever manager answered, whose disk has no such folder."""
    monkeypatch.setattr(socket, "gethostname", lambda: computer)
    given: list[Any] = []
    monkeypatch.setattr(containers, "scratch", lambda *words: nullcontext(given.extend(words)))
    fleet = Stopping(tasks=[], states=["running"])
    with SwarmAccess(machines_topology(tmp_path), fleet).scratch("redis"):
        docker = given[3]
    assert docker.streaming("ps").argv[:3] == ("docker", "--host", asked)


def test_a_computer_without_the_stacks_docker_tries_no_restore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "laptop")
    hosts = {n: {"address": f"10.77.0.{i}", "docker": f"ssh://ops@{n}"} for i, n in enumerate("abc", 1)}
    fleet = Stopping(tasks=[], states=["running"])
    with pytest.raises(OpsError, match="a throwaway server needs Docker") as error:
        SwarmAccess(machines_topology(tmp_path, hosts=hosts), fleet).scratch("redis")
    assert error.value.hint == "run this command on one of the hosts: a, b, c"
