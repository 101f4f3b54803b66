"""A restore where one of several databases is cut off: refused at first, and else gone back from."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.letters import Letters, backup, read, states, write
from fakes.memory_engine import MemoryEngine
from fakes.memory_project import MemoryProject
from fakes.three_hosts import fleet, of
from rows import each_row

from techsapo_ops.adapters.process import Command
from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.restore import run as restore
from techsapo_ops.backup.restore.intent import intend
from techsapo_ops.engines.swarm import access
from techsapo_ops.engines.swarm.engine import SwarmEngine
from techsapo_ops.errors import OpsError
from techsapo_ops.services.mysql import member_runtime as runtime
from techsapo_ops.services.redis import backup as of_redis
from techsapo_ops.stack.backup import Untouched
from techsapo_ops.stack.journal import interrupted
from techsapo_ops.stack.step import Step
from tests.fakes.open_stacks import open_stack
from tests.fakes.swarm_hosts import HostFake
from tests.fakes.swarm_stack import StackFake


def never(*_: object) -> None:
    raise AssertionError("nothing may be stopped or gone back from")


def test_what_is_cut_off_is_said_before_anything_is_stopped(
    made: MemoryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = backup(made, "old")
    write(made, "new")
    monkeypatch.setattr(Letters, "missing", lambda *_: ("c sees none of the others",))
    monkeypatch.setattr(MemoryEngine, "halt", never)
    with pytest.raises(OpsError, match=r"c sees none of the others\nnothing was touched") as refused:
        restore.perform(made.stack(), intend(made.stack(), old))
    assert "hosts check" in (refused.value.hint or "")
    assert (read(made), states(made)["app"]) == ("new", "running")


def cut_in_the_midst(*_: object) -> None:
    raise Untouched("c does not hear", "see to its network")


def test_where_nothing_was_replaced_yet_the_apps_go_on_with_what_there_was(
    made: MemoryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = backup(made, "old")
    write(made, "new")
    forgotten: list[object] = []
    monkeypatch.setattr(Letters, "bring_back", cut_in_the_midst)
    monkeypatch.setattr(restore, "go_back", never)
    monkeypatch.setattr(MemoryEngine, "forget_aside", lambda engine: forgotten.append(engine))
    with pytest.raises(OpsError, match="c does not hear"):
        restore.perform(made.stack(), intend(made.stack(), old))
    assert (read(made), states(made)["app"]) == ("new", "running")
    assert interrupted(made.stack().layout) is None
    assert len(forgotten) == 1


class Numbers(Letters):
    """Another file, which comes back after the letters."""

    name = "numbers"
    title = "the numbers"

    def sources(self, stack: Any) -> Any:
        (source,) = super().sources(stack)
        source.kind, take = "numbers", source.take
        source.take = lambda folder, stamp, progress: take(folder, f"{stamp}n", progress)
        return [source]

    def bring_back(self, *_: Any) -> None:
        cut_in_the_midst()

    def differences(self, *_: Any) -> list[str]:
        return []


def test_only_what_was_replaced_before_is_gone_back_from(made: MemoryProject) -> None:
    with registry.including(Numbers()):
        write(made, "old")
        old = restore_point(made)
        write(made, "new")
        with pytest.raises(OpsError, match="c does not hear\nthe restore was undone"):
            restore.perform(made.stack(), intend(made.stack(), old, ("letters", "numbers")))
    assert (read(made), states(made)["app"]) == ("new", "running")
    assert interrupted(made.stack().layout) is None


def restore_point(made: MemoryProject) -> str:
    return restore.put_aside(made.stack(), ["letters", "numbers"], 0).id


def test_redis_that_were_stopped_for_nothing_are_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def halt(name: str) -> None:
        if name == "redis-c":
            raise OpsError("c does not hear", "see to it")
        done.append(f"halt {name}")

    monkeypatch.setattr(Step, "perform", lambda step, _: done.append(f"{step.action} {step.service}"))
    stack: Any = SimpleNamespace(engine=SimpleNamespace(halt=halt))
    servers: Any = [SimpleNamespace(name=f"redis-{name}") for name in "bca"]
    with pytest.raises(Untouched, match="c does not hear") as told:
        of_redis._halt(stack, servers)
    assert told.value.hint == "see to it"
    assert done == ["halt redis-b", "restart redis-b"]


class Deaf(StackFake):
    """Machines of which c does not hear what Swarm says, though its Docker answers."""

    def _service_update(self, _: HostFake, words: tuple[str, ...], __: Command) -> str:
        self.done.append(words[2:])
        return ""

    def _service_ps(self, _: HostFake, __: tuple[str, ...], ___: Command) -> str:
        return "Running 3 minutes ago"


@each_row("status, reach", [("ready", "unreachable"), ("down", "reachable")])
def test_a_service_on_a_host_that_does_not_hear_goes_on_and_that_is_said_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str, reach: str
) -> None:
    monkeypatch.setattr(access, "_HEARD_SECONDS", 0.0)
    monkeypatch.setattr(access, "_PAUSE", 0.0)
    stack = of(tmp_path)
    hosts = Deaf(stack)
    node = next(node for node in hosts.nodes if node["Description"]["Hostname"] == "c")
    node["Status"]["State"], node["ManagerStatus"]["Reachability"] = status, reach
    with pytest.raises(
        access.Unheard, match="the other hosts can't reach host c, so redis-c is still running on that host"
    ):
        SwarmEngine(stack, fleet(hosts, stack)).halt("redis-c")
    said = [(words[-3], words[-1]) for words in hosts.done]
    assert said == [("--constraint-add", "techsapo_redis-c"), ("--constraint-rm", "techsapo_redis-c")]


def test_a_member_of_mariadb_that_does_not_see_all_is_named(tmp_path: Path) -> None:
    stack = of(tmp_path)
    sees = {"mysql-a": ("Primary", 3), "mysql-b": ("Primary", 2), "mysql-c": ("non-Primary", 1)}

    def said(name: str, _: tuple[str, ...], __: Command) -> str:
        status, size = sees[name]
        return (
            f"wsrep_cluster_size\t{size}\nwsrep_cluster_status\t{status}\nwsrep_local_state_comment\tSynced\n"
        )

    hosts = StackFake(stack, said)
    opened = open_stack(stack, SwarmEngine(stack, fleet(hosts, stack)), hosts)
    assert list(runtime.missing(opened)) == [
        "mysql-b: synced, quorum: 2 of 3 members",
        "mysql-c: no quorum: this member sees 1 of 3 members",
    ]
    sees |= dict.fromkeys(sees, ("Primary", 3))
    assert list(runtime.missing(opened)) == []
    hosts.hosts["c"].silent = "no route to host"
    assert [words.partition(":")[0] for words in runtime.missing(opened)] == ["mysql-c"]
