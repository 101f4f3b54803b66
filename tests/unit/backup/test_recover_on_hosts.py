"""A recovery of a stack on several hosts: which it looks at, lets join, and leaves alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes.three_hosts import fleet, of
from rows import each_row

from techsapo_ops.adapters import swarm
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.process import Command
from techsapo_ops.backup.recover.doors import join, look_at_hosts
from techsapo_ops.backup.recover.journal import Asked, Desk, Recovering
from techsapo_ops.backup.recover.run import abandon
from techsapo_ops.engines.swarm.shared_state import SharedState, forget
from techsapo_ops.errors import OpsError
from tests.fakes.swarm_hosts import HostFake, HostsFake
from tests.fakes.swarm_store import SwarmStore
from tests.fakes.swarm_volumes import Machines


class Hosts(HostsFake):
    """Hosts whose managers keep notes."""

    def __init__(self) -> None:
        super().__init__()
        self.store = SwarmStore()

    def _config_ls(self, _: HostFake, words: tuple[str, ...], __: Command) -> str:
        return self._noted(words)

    def _config_inspect(self, _: HostFake, words: tuple[str, ...], __: Command) -> str:
        return self._noted(words)

    def _noted(self, words: tuple[str, ...]) -> str:
        return self.store.run(Command(("docker", *words))).stdout.decode()


def test_hosts_that_are_new_are_looked_at_and_let_into_a_swarm(tmp_path: Path) -> None:
    hosts, stack = Hosts(), of(tmp_path)
    found = look_at_hosts(stack, fleet(hosts, stack))
    assert (found.joining, found.blockers) == (("a", "b", "c"), ())
    assert hosts.nodes == [], "a look changes nothing"
    for _ in range(2):  # as after a kill
        join(stack, fleet(hosts, stack), lambda _: None, lambda _: None)
    assert [node["Description"]["Hostname"] for node in hosts.nodes] == ["a", "b", "c"]
    assert look_at_hosts(stack, fleet(hosts, stack)).joining == ()


def test_a_host_that_does_not_answer_or_is_another_one_is_in_the_way(tmp_path: Path) -> None:
    hosts, stack = Hosts(), of(tmp_path)
    hosts.hosts["b"].silent = "timeout"
    hosts.hosts["c"].calls_itself = "db1"
    found = look_at_hosts(stack, fleet(hosts, stack))
    assert [what for what, _ in found.blockers] == [
        "b: ssh://ops@b: no answer within 6 s", "c: the host's own name is db1",
    ]  # fmt: skip
    assert all(remedy for _, remedy in found.blockers)


def test_hosts_that_have_a_stack_of_that_name_are_left_alone(tmp_path: Path) -> None:
    hosts, stack = Hosts(), of(tmp_path)
    hosts.joined()
    member = fleet(Hosts(), stack).members["a"]
    member.runner = SimpleNamespace(
        run=lambda c, timeout: hosts.store.run(Command(("docker", *c.argv[3:]), stdin=c.stdin))
    )
    assert swarm.take(member, "techsapo.state", "techsapo.state.000000007", {"number": 7})
    ((what, remedy),) = look_at_hosts(stack, fleet(hosts, stack)).blockers
    assert "already have the state of a stack named techsapo" in what
    assert "run `techsapo status` in the folder" in remedy
    with pytest.raises(OpsError, match="already have the state"):
        join(stack, fleet(hosts, stack), lambda _: None, lambda _: None)


@each_row("step", ["hosts", "up", "restore"])
def test_one_that_is_given_up_before_its_hosts_were_one_swarm_stops_nothing_there(
    tmp_path: Path, step: str
) -> None:
    desk, stopped = Desk(tmp_path / "new/.techsapo"), list[Path]()
    spec_file = tmp_path / "new/techsapo.yaml"
    facts = Recovering(Asked("/away"), "1" * 64, "x", spec=str(spec_file), engine="swarm", several=True)
    with desk.lock():
        desk.journal.begin(facts)
        for done in facts.steps[: facts.steps.index(step)]:
            desk.journal.done(done, 1.0)
        desk.journal.reach(step)
    abandon(
        desk, SimpleNamespace(gather=lambda *_: None, listener=SimpleNamespace(warn=print)), stopped.append
    )
    assert stopped == [spec_file] * (step != "hosts")


def test_a_stack_that_was_given_up_leaves_no_state_that_another_one_would_go_on_from(tmp_path: Path) -> None:
    gone: list[tuple[str, ...]] = []

    class Removing(Machines):
        def run(self, command: Command, *, timeout: float = 60.0) -> Any:
            if command.argv[3:5] in {("container", "rm"), ("volume", "rm")}:
                gone.append(command.argv[2:])
                return SimpleNamespace(code=0, output="")
            return super().run(command, timeout=timeout)

    machines = Removing()
    three = Fleet(machines, "docker", {n: n for n in "abc"})
    state = tmp_path / "state"
    (state / "ledger").mkdir(parents=True)
    with SharedState(state, "shop", three, print).at_work(0):
        (state / "ledger/1").write_text("1")
    assert swarm.notes(three.manager, "shop.state")
    forget(three, "shop")
    assert swarm.notes(three.manager, "shop.state") == ()
    assert sorted((words[0], words[1], words[-1]) for words in gone) == [
        (name, kind, of)
        for name in "abc"
        for kind, of in (("container", "shop-state"), ("volume", "shop_state"))
    ]
