"""Whether hosts can carry a stack, and how they join its Swarm."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from fakes.memory_project import Told
from fakes.three_hosts import fleet, of

from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.probe import ProbeResult
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.backup.repository.records import Place, Places, places_of
from techsapo_ops.engines.state import Record, StateFile
from techsapo_ops.engines.swarm import folders
from techsapo_ops.engines.swarm.engine import SwarmEngine
from techsapo_ops.engines.swarm.machines_note import note_machines, noted_machines
from techsapo_ops.engines.swarm.nodes import nodes_of
from techsapo_ops.errors import OpsError
from techsapo_ops.hosts.check import Checked, check
from techsapo_ops.hosts.drain import needed
from techsapo_ops.hosts.facts import Level
from techsapo_ops.hosts.join import Joined, add
from techsapo_ops.hosts.leave import remove, replace
from techsapo_ops.services.runtime import runtime_of
from techsapo_ops.stack.backup import Door
from techsapo_ops.stack.service import Machine, Service
from techsapo_ops.stack.topology import Topology
from tests.fakes.open_stacks import open_stack
from tests.fakes.swarm_hosts import PROBED, TOKEN, HostsFake


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
    assert every["", "quorum"] == "3 of 3 managers answer; quorum survives the loss of 1 more"
    assert every["", "heartbeat"] == "20 s"


def test_a_host_that_does_not_answer_is_said_and_the_others_are_looked_at(tmp_path: Path) -> None:
    hosts = HostsFake().joined()
    hosts.hosts["c"].silent = "timeout"
    hosts.hosts["c"].node["ManagerStatus"]["Reachability"] = "unreachable"
    result = checked(hosts, of(tmp_path))
    assert found(result, Level.FAILED) == {("c", "docker"): "ssh://ops@c: no answer within 6 s"}
    assert found(result, Level.OK)["a", "network"] == "reaches b"
    assert (
        found(result, Level.WARNING)["", "quorum"]
        == "2 of 3 managers answer; losing one more breaks the quorum"
    )


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
        ("b", "clock"), ("c", "swarm"), ("", "docker"), ("", "heartbeat"),
    }  # fmt: skip
    assert "6379 (redis-c)" in found(result, Level.FAILED)["c", "ports"]


def test_ports_of_the_stack_that_is_to_move_from_this_host_are_freed_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = HostsFake().joined()
    hosts.hosts["a"].probed = PROBED + "port 00000000:18EB\n"
    hosts.hosts["b"].probed = PROBED + "port 00000000:18EB\n"
    stack = of(tmp_path)
    stack.layout.state.mkdir(parents=True)
    StateFile(stack.layout.state, "native").put(Record("redis", "redis", "a", 6379, None, (), 10))
    monkeypatch.setattr(socket, "gethostname", lambda: "a")
    result = checked(hosts, stack)
    assert found(result, Level.OK)["a", "ports"].startswith("6379: used by the stack, which")
    assert "6379 (redis-b)" in found(result, Level.FAILED)["b", "ports"]
    hosts.hosts["a"].probed += "port 00000000:670B\n"
    assert (
        found(checked(hosts, stack), Level.FAILED)["a", "ports"] == "another process uses 26379 (sentinel-a)"
    )
    in_a_container = StateFile(stack.layout.state, "compose")  # whose Redis nobody outside reaches
    in_a_container.put(Record("redis", "redis", "a", 6379, None, (), 10))
    assert "6379 (redis-a)" in found(checked(hosts, stack), Level.FAILED)["a", "ports"]
    in_a_container.put(Record("nginx", "nginx", "", stack.spec.nginx.listen, None, (), 10))
    hosts.hosts["a"].probed = PROBED + f"port 00000000:{stack.spec.nginx.listen:04X}\n"
    assert "used by the stack, which" in found(checked(hosts, stack), Level.OK)["a", "ports"]


def test_the_first_makes_the_swarm_and_the_others_join_it(tmp_path: Path) -> None:
    hosts = HostsFake()
    done = added(hosts, of(tmp_path))
    assert (done.began, done.joined) == ("a", ("b", "c"))
    assert hosts.heartbeat == 20
    assert [n["Spec"]["Labels"] for n in hosts.nodes] == [{"techsapo": name} for name in "abc"]
    assert not any(TOKEN in word for command in hosts.asked for word in command.argv)
    assert added(hosts, of(tmp_path)) == Joined("", (), ("a", "b", "c"))


def test_no_second_swarm_is_made_while_a_host_can_t_be_asked(tmp_path: Path) -> None:
    hosts = HostsFake()
    hosts.hosts["c"].silent = "Connection timed out"
    with pytest.raises(OpsError, match="c does not answer, so it may already be in a Swarm"):
        added(hosts, of(tmp_path), "a", "b")
    assert hosts.said == []


def test_a_host_whose_name_a_lost_node_has_does_not_join_beside_it(tmp_path: Path) -> None:
    hosts = HostsFake().joined()
    hosts.lost("c")
    with pytest.raises(OpsError, match=r"already has a node c at 10\.0\.0\.3") as refused:
        added(hosts, of(tmp_path), "c")
    assert "hosts replace c" in refused.value.hint


class Telling(SwarmEngine):
    """An engine that keeps what its services are told of hosts."""

    def __init__(self, topology: Topology, fleet: Fleet) -> None:
        super().__init__(topology, fleet)
        self.told: list[str] = []

    def forget_members(self) -> None:
        self.told.append("forget")

    def give_up(self, machine: str) -> tuple[str, ...]:
        self.told.append(f"{machine} is gone")
        return ()


def left(
    hosts: HostsFake, stack: Topology, name: str, *, gone: bool, say: Callable[[str], None] = lambda _: None
) -> tuple[list[str], list[str]]:
    """The nodes that were removed, and what the services were told."""
    engine = Telling(stack, fleet(hosts, stack))
    found = remove(engine, name, gone=gone, say=say, pause=lambda _: None)
    return [node.name for node in found], engine.told


def noted(stack: Topology) -> list[str]:
    return [machine.name for machine in noted_machines(stack.layout.state).machines]


def test_a_lost_host_leaves_raft_in_somebody_s_explicit_word_alone(tmp_path: Path) -> None:
    hosts, stack = HostsFake().joined(), of(tmp_path)
    note_machines(stack.layout.state, "techsapo", stack.machines)
    hosts.lost("c")
    hosts.hosts["c"].silent = "Connection timed out"
    with pytest.raises(OpsError, match="one of the 3 hosts in the spec, and a stack needs") as refused:
        left(hosts, stack, "c", gone=False)
    assert "hosts replace c" in refused.value.hint
    assert left(hosts, stack, "c", gone=True) == (["c"], ["c is gone"]), "a database that waits goes on"
    assert [node["Description"]["Hostname"] for node in hosts.nodes] == ["a", "b"]
    assert noted(stack) == ["a", "b"]
    hosts.hosts["c"].silent = ""  # it is there again, as a Docker that is in no Swarm
    with pytest.raises(OpsError, match="host c is not a node of the Swarm"):
        SwarmEngine(stack, fleet(hosts, stack)).announce()
    assert noted(stack) == ["a", "b"]


def test_what_was_killed_after_a_node_was_removed_is_finished_by_the_same_call(tmp_path: Path) -> None:
    """Else `down` is refused, with a hint at this very command, and a database waits for ever."""
    hosts, stack = HostsFake().joined(), of(tmp_path)
    note_machines(stack.layout.state, "techsapo", stack.machines)
    hosts.lost("c")
    hosts._left.clear()
    hosts.hosts["c"].silent = "Connection timed out"
    for _ in range(2):  # also killed between the note and the word
        assert left(hosts, stack, "c", gone=True) == ([], ["c is gone"])
        assert noted(stack) == ["a", "b"]
    hosts.hosts["c"].silent = ""
    with pytest.raises(OpsError, match="c answers, so it is not lost"):
        left(hosts, stack, "c", gone=True)
    with pytest.raises(OpsError, match="d is not a node of the Swarm"):
        left(hosts, stack, "d", gone=True)


def test_a_host_out_of_the_spec_whose_removal_was_killed_is_forgotten_by_the_same_call(
    tmp_path: Path,
) -> None:
    hosts, stack = HostsFake().joined(), of(tmp_path)
    note_machines(stack.layout.state, "techsapo", [*stack.machines, Machine("d", "10.0.0.4", "ssh://ops@d")])
    assert left(hosts, stack, "d", gone=False) == ([], ["forget"])
    assert noted(stack) == ["a", "b", "c"]


def test_a_host_that_answers_is_not_gone(tmp_path: Path) -> None:
    hosts, stack = HostsFake().joined(), of(tmp_path)
    with pytest.raises(OpsError, match="c answers, so it is not lost"):
        left(hosts, stack, "c", gone=True)
    hosts.hosts["c"].silent = "Connection timed out"  # here; the managers still hear of it
    with pytest.raises(OpsError, match="c answers, so it is not lost"):
        left(hosts, stack, "c", gone=True)
    assert len(hosts.nodes) == 3


def test_a_host_that_the_spec_does_not_name_is_removed_once_nothing_is_bound_to_it(tmp_path: Path) -> None:
    hosts, stack = HostsFake("abcd").joined(), of(tmp_path)
    with pytest.raises(OpsError, match="services of the stack may still be running on d"):
        left(hosts, stack, "d", gone=False)
    hosts.hosts["d"].node["Spec"]["Labels"] = {}
    assert left(hosts, stack, "d", gone=False) == (["d"], ["forget"]), (
        "a Sentinel counts all it has ever seen"
    )
    with pytest.raises(OpsError, match="d is not a node of the Swarm"):
        left(hosts, stack, "d", gone=False)


def backed_up(stack: Topology, *hosts: str) -> Places:
    """A note of a backup on each of `hosts`, as another one has them."""
    folder = stack.layout.state / "backup-places"
    folder.mkdir(parents=True)
    for number, host in enumerate(hosts, 1):
        place = Place(
            f"2026010{number}T000000Z", host, "/srv", f"2026-01-0{number}T00:00:00+00:00", (), 1, ""
        )
        (folder / f"{place.id}.{host}.json").write_text(json.dumps(asdict(place)))
    return places_of(stack.layout, stack.layout.state / "backups")


def test_backups_that_lay_on_a_host_that_is_gone_are_not_listed_any_more(tmp_path: Path) -> None:
    hosts, stack, said = HostsFake().joined(), of(tmp_path), list[str]()
    places = backed_up(stack, "c", "b", "c")
    with pytest.raises(OpsError, match="c answers"):
        left(hosts, stack, "c", gone=True)
    assert len(places.elsewhere()) == 3
    hosts.lost("c")
    hosts.hosts["c"].silent = "Connection timed out"
    left(hosts, stack, "c", gone=True, say=said.append)
    assert [(place.id, place.host) for place in places.elsewhere()] == [("20260102T000000Z", "b")]
    assert said == [
        "2 backups on c are lost with that host, the latest of them 20260103T000000Z; "
        "off-site copies are not affected"
    ]


def test_a_new_machine_of_the_same_name_takes_the_lost_one_s_place(tmp_path: Path) -> None:
    hosts, stack = HostsFake().joined(), of(tmp_path)
    stack.layout.state.mkdir()
    (stack.layout.state / folders.NOTE).write_text('{"a": "1", "c": "3"}')
    hosts.services = ("techsapo_redis-a",)
    hosts.lost("c")
    seen: list[str] = []  # the nodes that there are when `up` is called
    replace(
        open_stack(stack, SwarmEngine(stack, fleet(hosts, stack))),
        "c",
        "c",
        lambda: seen.extend(node["Description"]["Hostname"] for node in hosts.nodes),
        wait=0,
        listener=Told(),
    )
    assert seen == ["a", "b", "c"]
    assert hosts.hosts["c"].node["Spec"]["Labels"] == {}  # `up` sets it, when the machine has all
    assert json.loads((stack.layout.state / folders.NOTE).read_text()) == {"a": "1"}


def test_a_database_that_waits_for_a_lost_host_is_told_at_the_next_one_that_it_is_gone(
    tmp_path: Path,
) -> None:
    stack, asked = of(tmp_path), []

    class Member:
        """Where MariaDB's member of a runs."""

        def __init__(self, code: int) -> None:
            self.code = code

        def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
            asked.append(command.argv)
            return Completed(command, self.code, b"gone for good: mysql-c", b"")

    def given(code: int) -> str:
        doors = {"mysql-b": Door(Member(code))}  # that of a does not run
        return runtime_of(stack.of_kind("mysql")[0]).give_up(
            stack, "c", lambda service: doors.get(service.name)
        )

    assert given(0) == "gone for good: mysql-c"
    assert asked == [("bash", "/etc/techsapo/mysql/member.sh", "gone", "mysql-c")]
    assert given(3) == "", "the cluster runs without it"
    assert given(1) == "mysql-b did not accept that mysql-c is lost: gone for good: mysql-c"


def drained(hosts: HostsFake, stack: Topology, monkeypatch: pytest.MonkeyPatch, *ill: str) -> list[str]:
    engine = SwarmEngine(stack, fleet(hosts, stack))

    def asked(service: Service, _: float) -> ProbeResult:
        return ProbeResult(service.name not in ill, "", 0.0)

    monkeypatch.setattr(engine, "prober_inside", lambda: asked)
    nodes = nodes_of(engine.fleet.members["a"])
    return list(needed(engine, nodes, "c"))


def test_a_host_is_spared_only_while_the_others_are_a_majority(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts, stack = HostsFake().joined(), of(tmp_path)
    assert drained(hosts, stack, monkeypatch) == []
    assert drained(hosts, stack, monkeypatch, "mysql-c", "app-a") == []
    assert drained(hosts, stack, monkeypatch, "mysql-b") == ["only 1 of 3 mysql services would be left"]
    hosts.hosts["b"].node["Spec"]["Availability"] = "drain"
    hosts.hosts["b"].node["ManagerStatus"]["Reachability"] = "unreachable"
    assert drained(hosts, stack, monkeypatch) == [
        "only 1 of 3 managers would be left",
        "host b is already drained",
    ]
