"""Who has the front's address: it is changed last, and what each of a cluster says of itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.adapters.process import Command
from techsapo_ops.apply.stop import restart
from techsapo_ops.engines.state import Record
from techsapo_ops.engines.swarm.engine import SwarmEngine
from techsapo_ops.engines.swarm.front import holder_last, holders
from techsapo_ops.errors import OpsError
from techsapo_ops.services.probing import part_of
from techsapo_ops.services.runtime import runtime_of
from techsapo_ops.stack.health import PartStatus, Role
from techsapo_ops.stack.step import Action, Step
from tests.fakes.swarm_stack import StackFake, on_three_hosts, running

MASTER = "role:master\r\nconnected_slaves:2\r\n"
REPLICA = "role:slave\r\nmaster_host:10.0.0.1\r\nmaster_link_status:{}\r\n"
FRONT = {"floating_address": "10.0.0.100/24"}
GALERA = "wsrep_cluster_size\t{}\nwsrep_cluster_status\t{}\nwsrep_local_state_comment\tSynced\n"


@pytest.fixture
def stack(tmp_path: Path) -> tuple[SwarmEngine, StackFake]:
    return running(on_three_hosts(tmp_path, **FRONT))


def test_the_holder_is_whoever_says_so_and_who_does_not_answer_is_passed_over(
    stack: tuple[SwarmEngine, StackFake],
) -> None:
    engine, hosts = stack

    def says(service: str, _: tuple[str, ...], __: Command) -> str:
        if service == "keepalived-a":
            raise OpsError("Error response from daemon: it hangs")
        return "MASTER\n" if service == "keepalived-b" else "BACKUP\n"

    hosts.answer = says
    assert holders(engine.topology, engine.fleet, engine.containers()) == ("b",)
    hosts.states["keepalived-b"] = "exited"
    assert holders(engine.topology, engine.fleet, engine.containers()) == ()


def test_of_each_kind_the_holder_comes_last_and_nothing_else_changes_its_place() -> None:
    names = [f"{kind}-{host}" for kind in ("redis", "app", "nginx") for host in "abc"]
    steps = [Step(Action.RECREATE, name, "changed") for name in names]
    machines = {name: name[-1] for name in names}
    found = holder_last(steps, {name: name[:-2] for name in names}, machines, "a")
    assert [step.service for step in found] == [
        "redis-b", "redis-c", "redis-a", "app-b", "app-c", "app-a", "nginx-b", "nginx-c", "nginx-a",
    ]  # fmt: skip
    assert holder_last(steps, {}, machines, "") == tuple(steps)


def test_what_stands_beside_a_service_is_on_its_machine_and_one_that_is_missing_is_named(
    tmp_path: Path,
) -> None:
    found = on_three_hosts(tmp_path, **FRONT)
    redis = found.of_kind("redis")[1]
    assert found.beside(redis, "sentinel").name == "sentinel-b"
    without = replace(found, services=tuple(s for s in found.services if s.name != "sentinel-b"))
    with pytest.raises(OpsError, match="redis-b needs sentinel on the same host, but that host has none"):
        without.beside(redis, "sentinel")


@each_row(
    "asked, wanted",
    [
        (("nginx", "keepalived"), "nginx-a nginx-c nginx-b keepalived-b keepalived-c keepalived-a"),
        (("nginx-b", "nginx-c"), "nginx-c nginx-b"),
        (("keepalived-b",), "keepalived-b"),
    ],
)
def test_a_restart_takes_the_holder_last_of_each_kind_and_asks_anew_who_that_is(
    stack: tuple[SwarmEngine, StackFake],
    asked: tuple[str, ...],
    wanted: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, hosts = stack
    engine.layout.state.mkdir(parents=True, exist_ok=True)
    records = {s.name: Record(s.name, s.kind, "", 0, None, (), 10) for s in engine.topology.services}
    engine.state.save(records)
    holder = ["b"]

    def says(service: str, *_: Any) -> str:
        return "MASTER\n" if service == f"keepalived-{holder[0]}" else "BACKUP\n"

    turns: list[str] = []

    def restarted(step: Step, _: object) -> None:
        turns.append(step.service)
        if step.service == f"nginx-{holder[0]}":
            holder[0] = "a"

    hosts.answer = says
    monkeypatch.setattr(engine, "_anew", restarted)
    assert restart(engine, asked) == tuple(wanted.split())
    assert " ".join(turns) == wanted


FAULT = "can't hold the address: nginx or the network of that host has failed"


@each_row(
    "kind, said, words, wrong, sole",
    [
        ("redis", MASTER, "master of 2 replicas", False, True),
        ("redis", MASTER.replace("2", "0"), "master of 0 replicas", True, True),
        ("redis", REPLICA.format("up"), "replica of a, in sync", False, False),
        ("redis", REPLICA.format("down"), "replica of a, not connected", True, False),
        ("redis", "NOAUTH Authentication required.", "", False, None),
        ("sentinel", "OK 3 usable Sentinels. Quorum can", "quorum: 3 of 3 Sentinels", False, None),
        ("sentinel", "NOQUORUM 1 usable Sentinels.", "no quorum: 1 usable Sentinels.", True, None),
        ("sentinel", "", "", False, None),
        ("mysql", GALERA.format(3, "Primary"), "synced, quorum: 3 of 3 members", False, None),
        ("mysql", GALERA.replace("Synced", "Joining").format(2, "Primary"),
         "joining, quorum: 2 of 3 members", True, None),
        ("mysql", GALERA.format(1, "non-Primary"), "no quorum: this member sees 1 of 3 members", True, None),
        ("mysql", "", "", False, None),
        ("keepalived", "MASTER\n", "has 10.0.0.100/24", False, True),
        ("keepalived", "BACKUP\n", "ready to take over 10.0.0.100/24", False, False),
        ("keepalived", "FAULT\n", FAULT, True, False),
        ("keepalived", "\x1b[2J", "", False, None),
    ],
)  # fmt: skip
def test_each_says_what_it_is_in_its_cluster(
    kind: str, said: str, words: str, wrong: bool, sole: bool | None, tmp_path: Path
) -> None:
    stack = on_three_hosts(tmp_path, **FRONT)
    assert runtime_of(stack.of_kind(kind)[0]).role(stack, said) == Role(words, wrong, sole)


def test_a_role_that_is_wrong_degrades_its_service_and_says_where_to_look(
    stack: tuple[SwarmEngine, StackFake],
) -> None:
    engine, hosts = stack
    hosts.answer = lambda _, words, __: REPLICA.format("down") if "replication" in words else ""
    service = engine.topology.of_kind("redis")[0]
    part = part_of(service, engine.prober_inside()(service, 5.0))
    assert (part.status, part.sole) == (PartStatus.DEGRADED, False)
    assert part.hint == f"`techsapo logs {service.name}`"


def test_health_has_the_role_in_place_of_a_mere_yes_and_no_fault_where_that_is_not_told(
    stack: tuple[SwarmEngine, StackFake],
) -> None:
    engine, hosts = stack
    hosts.answer = lambda _, words, __: MASTER if "replication" in words else ""
    service = engine.topology.of_kind("redis")[0]
    assert engine.prober_inside()(service, 5.0).detail == "master of 2 replicas"

    def fails(_: str, words: tuple[str, ...], __: Command) -> str:
        if "replication" in words:
            raise OpsError("it hangs")
        return "PONG"

    hosts.answer = fails
    found = engine.prober_inside()(service, 5.0)
    assert (found.ok, found.detail) == (True, "PONG")
