"""Looks at a stack on three hosts: of which one may be away, and how often each is asked."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.adapters.unreachable import HostsAway
from techsapo_ops.apply.drift import drift
from techsapo_ops.apply.history import History
from techsapo_ops.apply.stop import running_names
from techsapo_ops.engines.opening import recorded
from techsapo_ops.engines.swarm.recorded import SwarmStack
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.observed import State, Usage
from techsapo_ops.stack.service import Machine
from techsapo_ops.watch.health.check import check
from tests.fakes.swarm_commands import Commands

GONE = "Cannot connect to the Docker daemon at ssh://ops@c. Is the docker daemon running?"


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    found = Commands(tmp_path, monkeypatch)
    assert not found.up("a").failures
    return found


def test_one_that_is_away_keeps_nobody_from_seeing_the_others(commands: Commands) -> None:
    commands.cluster.hosts["c"].silent = GONE
    stack = recorded(commands.layout("a"), commands.cluster)
    seen = stack.observe()
    assert not seen.unknown
    assert [each["host"] for each in seen.away] == ["c"]
    states = {s.state for s in seen.services.values() if s.machine != "c"}
    assert states == {State.RUNNING}
    assert "app-a" in stack.log_names(())
    assert "app-a" in running_names(commands.stack("a").engine, ())


def test_health_asks_those_that_are_there_and_names_the_one_that_is_not(commands: Commands) -> None:
    commands.cluster.hosts["c"].silent = GONE
    report = check(commands.stack("a"), timeout=0.5, now=datetime.now(UTC))
    assert list(report.unreachable) == ["c"]
    assert {p.away for p in report.probes} == {"", "c"}
    asked = {p.name for p in report.asked}
    assert {"redis-a", "redis-b"} <= asked
    assert "redis-c" not in asked
    assert report.count_on("c") > 1


def test_where_all_are_away_the_notes_of_an_apply_are_no_news(commands: Commands) -> None:
    stack = recorded(commands.layout("a"), commands.cluster)
    opened = commands.stack("a")
    for host in commands.cluster.hosts.values():
        host.silent = GONE
    seen = stack.observe()
    assert {s.state for s in seen.services.values()} == {State.UNREACHABLE}
    with pytest.raises(HostsAway, match="a, b, c can't be reached"):
        seen.require_known()
    with pytest.raises(HostsAway):
        running_names(opened.engine, ())
    with pytest.raises(HostsAway):
        stack.log_names(())
    with pytest.raises(OpsError, match="a, b, c can't be reached"):
        stack.stop()


def noted(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Which host is asked what from now on."""
    asked: list[tuple[str, str]] = []
    run = commands.cluster.run

    def noting(command: Command, *, timeout: float = 60.0) -> Completed:
        host, words = command.argv[2].rpartition("@")[2], command.argv[3:]
        asked.append((host, " ".join(words[:2])))
        return run(command, timeout=timeout)

    monkeypatch.setattr(commands.cluster, "run", noting)
    return asked


def test_a_look_for_drift_does_not_look_again_at_what_was_seen(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`status` looks once: else it would wait for a silent host with each of its parts."""
    stack = commands.stack("b")
    asked = noted(commands, monkeypatch)
    assert not stack.engine.away()
    assert not drift(History.of(stack)).findings
    looked = [host for host, what in asked if what in {"ps -a", "container inspect", "image inspect"}]
    assert Counter(looked) == dict.fromkeys("abc", 3)


def test_an_apply_of_nothing_asks_each_thing_once(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for what another command may change meanwhile: that is looked at again once this one alone is
    at work."""
    asked = noted(commands, monkeypatch)
    assert not commands.up("a").changed

    of_each = [("ps -a", 1), ("container inspect", 1), ("image inspect", 1)]
    assert Counter(what for host, what in asked if host != "a") == {what: 2 * n for what, n in of_each}
    assert Counter(what for host, what in asked if host == "a") == {
        **dict(of_each),
        # A manager for each of: bringing the state here, the apply, the lease. Then who is a node: before
        # anything, once nobody else is at work, where labels are set, and at the end, which are drained.
        "node ls": 3,
        "system dial-stdio": 4,
        "network inspect": 1,
        "service ls": 1,
        # Of the state here: before anything, and with the lease. Of the lease: whether there is one, then its
        # note as it is written, and that one alone. Of the objects that nobody has any more: at the end.
        "config ls": 4,
        "config inspect": 3,
        "secret ls": 1,
        "config create": 1,
        "config rm": 1,
    }


def facts(machine: str, state: str = "running") -> ContainerFacts:
    return ContainerFacts(
        f"id-{machine}", f"shop_redis-{machine}.1", "shop", f"redis-{machine}", Path("/"), state,
        "sha256:1", "redis:8", "d",
    )  # fmt: skip


class Measured(Fleet):
    """Machines of which each runs one Redis, and measures what it is asked for and nothing else."""

    def __init__(self, *found: ContainerFacts) -> None:
        super().__init__(self, "docker", {name: f"unix:///{name}" for name in "abc"})
        self._found = found

    def containers(self, project: str | None = None) -> tuple[ContainerFacts, ...]:
        """Those that are there; where each is is told by its name."""
        self._where.update({c.id: c.id.removeprefix("id-") for c in self._found})
        return self._found

    def image_ids(self, references: Any, timeout: float = 60.0) -> dict[str, str]:
        """None."""
        return {}

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        """As the docker client of one machine, whose last line ends as well."""
        client, host, machine, *words = command.argv
        assert (client, host) == ("docker", "--host")
        assert words[:5] == ["stats", "--no-stream", "--no-trunc", "--format", "{{json .}}"]
        assert words[5:] == [f"id-{machine.removeprefix('unix:///')}"]
        line = {"ID": words[5], "CPUPerc": "1.50%", "MemUsage": "12.5MiB / 1GiB"}
        return Completed(command, 0, (json.dumps(line) + "\n").encode(), b"")


def usage(tmp_path: Path, *found: ContainerFacts) -> dict[str, Usage | None]:
    fleet = Measured(*found)
    machines = [Machine(name, f"10.0.0.{number}", name) for number, name in enumerate(fleet.members)]
    seen = SwarmStack(Layout(tmp_path, tmp_path), "shop", fleet, machines).observe(measure=True)
    return {name: service.usage for name, service in seen.services.items()}


def test_each_machine_is_asked_for_its_own(tmp_path: Path) -> None:
    used = Usage(1.5, int(12.5 * 1024**2))
    found = usage(tmp_path, facts("a"), facts("b", "exited"), facts("c"))
    assert found == {"redis-a": used, "redis-b": None, "redis-c": used}
