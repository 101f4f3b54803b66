"""Whether hosts can carry a stack, and how they join its Swarm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from stacks import spec, topology

from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.hosts.check import Checked, check
from techsapo_ops.operations.hosts.facts import Level, plainly
from techsapo_ops.operations.hosts.join import Joined, add
from techsapo_ops.stack.machine import Machine
from techsapo_ops.stack.topology import Topology
from tests.fakes.swarm_hosts import PROBED, TOKEN, HostsFake

A = Machine("a", "10.0.0.1", "ssh://ops@a")


def of(tmp_path: Path, by: str = "ssh://ops@{}", **sections: Any) -> Topology:
    hosts = {n: {"address": f"10.0.0.{i}", "docker": by.format(n)} for i, n in enumerate("abc", 1)}
    return topology(spec(engine="swarm", hosts=hosts, mysql={}, **sections), tmp_path, "swarm")


def fleet(hosts: HostsFake, stack: Topology) -> Fleet:
    return Fleet(hosts, "docker", {m.name: m.docker for m in stack.machines})


def checked(hosts: HostsFake, stack: Topology, *names: str) -> Checked:
    return check(stack, fleet(hosts, stack), names)


def added(hosts: HostsFake, stack: Topology, *names: str) -> Joined:
    return add(fleet(hosts, stack), "techsapo", stack.machines, names, lambda _: None, lambda _: None)


def found(result: Checked, *level: Level) -> dict[tuple[str, str], str]:
    return {(f.host, f.name): f.detail for f in result.facts if f.level in level}


def test_hosts_that_nothing_is_wrong_with_are_well(tmp_path: Path) -> None:
    result = checked(HostsFake().joined(), of(tmp_path))

    assert found(result, Level.WARNING, Level.FAILED) == {}
    assert result.well
    every = found(result, Level.OK)
    assert every["a", "swarm"] == "manager and leader"
    assert every["b", "network"] == "reaches a, c"
    assert every["", "quorum"] == "3 of 3 managers; 1 may be lost"
    assert every["", "heartbeat"] == "20 s"


def test_before_anything_was_brought_up_only_the_swarm_is_missing(tmp_path: Path) -> None:
    result = checked(HostsFake(), of(tmp_path))

    assert set(found(result, Level.FAILED)) == {(name, "swarm") for name in "abc"}
    assert found(result, Level.WARNING) == {}


def test_without_any_image_what_only_a_container_could_see_is_left_out_and_said(tmp_path: Path) -> None:
    hosts = HostsFake().joined()
    for host in hosts.hosts.values():
        host.images = False

    by_socket = checked(hosts, of(tmp_path, "unix:///run/{}"))
    by_ssh = checked(hosts, of(tmp_path))

    assert "no image" in found(by_socket, Level.SKIPPED)["a", "machine"]
    assert by_socket.well
    assert ("a", "disk") in found(by_ssh, Level.OK)


def test_a_host_that_does_not_answer_is_said_and_the_others_are_looked_at(tmp_path: Path) -> None:
    hosts = HostsFake().joined()
    hosts.hosts["c"].silent = "timeout"
    hosts.hosts["c"].node["ManagerStatus"]["Reachability"] = "unreachable"

    result = checked(hosts, of(tmp_path))

    assert found(result, Level.FAILED) == {("c", "docker"): "ssh://ops@c: it did not answer within 6 s"}
    assert found(result, Level.OK)["a", "network"] == "reaches b"
    assert found(result, Level.WARNING)["", "quorum"] == "2 of 3 managers; none may be lost"


def test_what_is_wrong_with_each_host_is_said_of_it(tmp_path: Path) -> None:
    hosts = HostsFake().joined(heartbeat=5)
    a, b, c = hosts.hosts.values()
    a.version, a.ahead, a.probed = "24.0.7", 15.0, PROBED.replace(" 51100000", " 900000")
    b.calls_itself, b.ahead = "db1", 3.5
    c.probed = PROBED.replace("address 10.0.0.{number}", "address 192.0.2.7") + "port 00000000:18EB\n"
    c.node["Spec"]["Availability"] = "drain"
    c.node["Spec"]["Labels"] = {}

    result = checked(hosts, of(tmp_path))

    assert set(found(result, Level.FAILED)) == {
        ("a", "docker"), ("a", "clock"), ("a", "disk"), ("b", "name"), ("c", "address"), ("c", "ports"),
        ("", "clock"),
    }  # fmt: skip
    assert set(found(result, Level.WARNING)) == {
        ("b", "clock"), ("c", "swarm"), ("c", "label"), ("", "docker"), ("", "heartbeat"),
    }  # fmt: skip
    assert "6379 (redis-c)" in found(result, Level.FAILED)["c", "ports"]


def test_a_port_of_the_stack_s_own_service_is_free_for_it(tmp_path: Path) -> None:
    hosts = HostsFake().joined()
    hosts.hosts["a"].probed = PROBED + "port 00000000:18EB\n"
    hosts.hosts["a"].running = ("redis-a",)

    assert checked(hosts, of(tmp_path), "a").well


def test_hosts_in_different_swarms_are_told_apart(tmp_path: Path) -> None:
    hosts = HostsFake().joined()
    hosts.hosts["c"].cluster = "another"

    assert "not all hosts" in found(checked(hosts, of(tmp_path)), Level.FAILED)["a", "swarm"]
    with pytest.raises(OpsError, match="different Swarms"):
        added(hosts, of(tmp_path))


def test_the_first_makes_the_swarm_and_the_others_join_it(tmp_path: Path) -> None:
    hosts = HostsFake()

    done = added(hosts, of(tmp_path))

    assert (done.began, done.joined) == ("a", ("b", "c"))
    assert hosts.heartbeat == 20
    assert [n["Spec"]["Labels"] for n in hosts.nodes] == [{"techsapo": name} for name in "abc"]
    assert not any(TOKEN in word for command in hosts.asked for word in command.argv)
    assert added(hosts, of(tmp_path)) == Joined("", (), ("a", "b", "c"))


def test_where_the_stack_runs_a_new_host_gets_its_label_by_up(tmp_path: Path) -> None:
    hosts = HostsFake().joined()
    hosts.lost("c")
    hosts._left.clear()
    hosts.services = ("techsapo_redis-a",)

    done = added(hosts, of(tmp_path), "c")

    assert (done.joined, done.unlabelled) == (("c",), ("c",))


def test_no_second_swarm_is_made_while_a_host_can_t_be_asked(tmp_path: Path) -> None:
    hosts = HostsFake()
    hosts.hosts["c"].silent = "Connection timed out"

    with pytest.raises(OpsError, match="c can't be asked whether there is a Swarm already"):
        added(hosts, of(tmp_path), "a", "b")

    assert hosts.said == []


def test_a_host_whose_name_a_lost_node_has_does_not_join_beside_it(tmp_path: Path) -> None:
    hosts = HostsFake().joined()
    hosts.lost("c")

    with pytest.raises(OpsError, match=r"has a node c at 10\.0\.0\.3 already") as refused:
        added(hosts, of(tmp_path), "c")

    assert "hosts replace c" in refused.value.hint


def test_a_worker_becomes_a_manager_and_a_short_heartbeat_is_made_longer(tmp_path: Path) -> None:
    hosts = HostsFake().joined(heartbeat=5)
    hosts.hosts["b"].worker = True
    hosts.hosts["b"].node.pop("ManagerStatus")

    added(hosts, of(tmp_path))

    assert hosts.nodes[1]["ManagerStatus"]["Reachability"] == "reachable"
    assert hosts.heartbeat == 20


def test_a_host_that_calls_itself_otherwise_does_not_join(tmp_path: Path) -> None:
    hosts = HostsFake()
    hosts.hosts["b"].calls_itself = "db1"

    with pytest.raises(OpsError, match="the host b calls itself db1"):
        added(hosts, of(tmp_path))


SSH = (
    'error during connect: Get "http://docker.example.com/v1.45/info": command [ssh -o ConnectTimeout=30 -l '
    "ops -- a docker system dial-stdio] has exited with exit status 255, please make sure the URL is valid, "
    "and Docker 18.09 or later is installed on the remote host: stderr={}"
)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (SSH.format("Host key verification failed."), "its ssh host key is not known here"),
        (SSH.format("ops@a: Permission denied (publickey)."), "ssh does not let this user in"),
        (SSH.format("ssh: connect to host a port 22: No route to host"), "it can't be reached: no route"),
        (SSH.format("Connection timed out during banner exchange"), "it does not answer"),
        (SSH.format("ssh: Could not resolve hostname a: Name or service not known"),
         "nobody knows the name a"),
        (SSH.format("bash: line 1: docker: command not found"), "Docker is not installed there"),
        (SSH.format("kex_exchange_identification: read: Connection reset by peer"),
         "kex_exchange_identification: read: Connection reset by peer"),
        ("permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
         "this user may not use Docker there"),
        ("Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?",
         "its Docker does not run"),
    ],
)  # fmt: skip
def test_what_ssh_and_docker_say_becomes_plain_words(said: str, why: str) -> None:
    assert plainly(said, A).why == why
