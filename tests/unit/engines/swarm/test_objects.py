"""Configs and secrets that no service has any more."""

from __future__ import annotations

from pathlib import Path

import pytest

from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.engines.swarm.deployment import prune
from techsapo_ops.errors import OpsError


class Manager:
    """A Runner whose docker lists and removes configs and secrets; `used` are those that a service has."""

    def __init__(self, configs: set[str], secrets: set[str], used: set[str]) -> None:
        self.there = {"config": configs, "secret": secrets}
        self.used = used
        self.away = False

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        words = command.argv[3:]
        if self.away:
            return Completed(command, 1, b"", b"The swarm does not have a leader.")
        if words[0] == "node":
            return Completed(command, 0, b"id1", b"")
        kind, action = words[:2]
        if action == "ls":
            assert words[2:4] == ("--filter", "label=com.docker.stack.namespace=shop")
            return Completed(command, 0, "\n".join(self.there[kind]).encode(), b"")
        assert action == "rm"
        if words[2] in self.used:
            return Completed(command, 1, b"", b"rpc error: code = InvalidArgument desc = is in use")
        self.there[kind].remove(words[2])
        return Completed(command, 0, b"", b"")


def named(*configs: str) -> dict[str, frozenset[str]]:
    return {"configs": frozenset(configs), "secrets": frozenset({"key_1"})}


def test_the_last_two_generations_stay(tmp_path: Path) -> None:
    manager = Manager({"site_1", "site_2", "site_3"}, {"key_0", "key_1"}, set())
    fleet = Fleet(manager, "docker", {"a": "unix:///a"})

    prune(fleet, tmp_path, "shop", named("site_1"))
    assert manager.there["config"] == {"site_1"}, "nothing is known of an apply before it"
    manager.there["config"] = {"site_1", "site_2"}
    assert prune(fleet, tmp_path, "shop", named("site_2")) == ()
    manager.there["config"] |= {"site_3"}
    assert prune(fleet, tmp_path, "shop", named("site_3")) == ("site_1",)
    assert prune(fleet, tmp_path, "shop", named("site_3")) == (), "an apply of nothing is no generation"
    assert manager.there == {"config": {"site_2", "site_3"}, "secret": {"key_1"}}


def test_what_a_service_has_stays_whatever_is_noted(tmp_path: Path) -> None:
    manager = Manager({"site_1", "site_9"}, set(), {"site_9"})
    assert prune(Fleet(manager, "docker", {"a": "unix:///a"}), tmp_path, "shop", named("site_1")) == ()
    assert "site_9" in manager.there["config"]


def test_without_a_manager_nothing_is_removed(tmp_path: Path) -> None:
    manager = Manager({"site_1"}, set(), set())
    manager.away = True
    with pytest.raises(OpsError, match="a can't be reached"):
        prune(Fleet(manager, "docker", {"a": "unix:///a"}), tmp_path, "shop", named("site_2"))
