"""Looks at a stack on three hosts of which one can't be reached: of the others all is told, as before."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from techsapo_ops.adapters.away import HostsAway
from techsapo_ops.engines.opening import recorded
from techsapo_ops.errors import OpsError
from techsapo_ops.health.check import check
from techsapo_ops.operations.apply.stop import running_names
from techsapo_ops.stack.observed import State
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
