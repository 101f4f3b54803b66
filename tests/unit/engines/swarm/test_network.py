"""The containers' network, which Swarm makes once: another one is wanted, and it is used or not."""

from __future__ import annotations

import json

import pytest
from rows import each_row

from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.engines.swarm.network import require_network
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.models.machines import Swarm


class Manager:
    """A Runner whose docker has the network of the project shop, or none."""

    def __init__(self, *, used: bool = False, encrypted: bool = False, there: bool = True) -> None:
        self.there, self.used, self.refuses = there, used, b""
        options = {"com.docker.network.driver.overlay.vxlanid_list": "4097"}
        self.options = {**options, **({"encrypted": ""} if encrypted else {})}

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        words = command.argv[3:]
        if words[0] == "node":
            return Completed(command, 0, b"id1", b"")
        assert words[0] == "network"
        if words[1] == "ls":
            assert words[-1] == "name=^shop_net$", "a part of a name would do for Docker"
            return Completed(command, 0, b"net1" if self.there else b"", b"")
        if words[1] == "inspect":
            assert words[2:] == ("shop_net",), words
            if self.refuses or not self.there:
                return Completed(command, 1, b"[]", self.refuses or b"network shop_net not found")
            found = {"Id": "net1", "IPAM": {"Config": [{"Subnet": "10.99.0.0/20"}]}, "Options": self.options}
            return Completed(command, 0, json.dumps([found]).encode(), b"")
        assert words[1:] == ("rm", "net1")
        if self.used:
            return Completed(command, 1, b"", b"network net1 is in use by service s1")
        self.there = False
        return Completed(command, 0, b"net1", b"")


def required(manager: Manager, **wanted: object) -> None:
    require_network(Fleet(manager, "docker", {"a": "unix:///a"}), "shop", Swarm.model_validate(wanted))


@each_row("encrypted", [False, True])
def test_what_is_as_wanted_stays(encrypted: bool) -> None:
    manager = Manager(encrypted=encrypted)
    required(manager, encrypted=encrypted)
    assert manager.there


def test_one_that_is_there_and_can_not_be_looked_at_is_not_taken_for_none() -> None:
    manager = Manager()
    manager.refuses = b"Error response from daemon: This node is not a swarm manager."
    with pytest.raises(OpsError, match="not a swarm manager"):
        required(manager, encrypted=True)


@each_row(
    "manager, wanted, says",
    [
        (
            Manager(used=True),
            {"subnet": "10.98.0.0/20"},
            "it is 10.99.0.0/20, swarm.subnet says 10.98.0.0/20",
        ),
        (Manager(used=True), {"encrypted": True}, "it is not encrypted, swarm.encrypted says true"),
        (Manager(used=True, encrypted=True), {}, "it is encrypted, swarm.encrypted says false"),
    ],
)
def test_one_that_is_used_is_not_changed_and_nothing_is_said_to_be(
    manager: Manager, wanted: dict[str, object], says: str
) -> None:
    with pytest.raises(OpsError, match=r"techsapo_net|shop_net") as caught:
        required(manager, **wanted)
    assert says in str(caught.value)
    assert manager.there


def test_one_that_nothing_uses_is_removed_so_that_a_deployment_makes_another() -> None:
    manager = Manager()
    required(manager, subnet="10.98.0.0/20")
    assert not manager.there
