"""Machines that do not answer: how long a command waits for them, and what it says of them."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field

import pytest

from techsapo_ops.adapters import fleet
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.adapters.swarm import get, named
from techsapo_ops.adapters.unreachable import HostsAway, NoManagerError, reasons_of
from techsapo_ops.catalogue.translations import words_of
from techsapo_ops.engines.swarm.nodes import require_all
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import said
from tests.fakes.swarm_hosts import HostsFake


@dataclass
class Machines:
    """A runner; `silent` ones answer nothing, `refusing` ones at once; others have no quorum."""

    silent: set[str] = field(default_factory=set)
    refusing: set[str] = field(default_factory=set)
    waited: list[tuple[str, float]] = field(default_factory=list)
    together: threading.Barrier | None = None

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        name, words = command.argv[2].rpartition("@")[2], command.argv[3:]
        self.waited.append((name, timeout))
        if name in self.silent:
            if self.together is not None:
                self.together.wait(timeout=60)
            raise OpsError(f"did not end within {timeout:g} s")
        if name in self.refusing:
            return Completed(command, 1, b"", b"error during connect: Connection refused")
        if words[0] == "node":
            return Completed(command, 1, b"", b"Error response from daemon: swarm has no leader")
        return Completed(command, 0, b"", b"")

    def fleet(self) -> Fleet:
        return Fleet(self, "docker", {name: f"ssh://ops@{name}" for name in "abc"})  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "_SILENT", {})
    monkeypatch.setattr(fleet, "_ASKED", {})


def test_who_was_silent_is_not_waited_for_as_long_by_another_part_of_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machines = Machines(silent={"c"})
    with pytest.raises(OpsError):
        machines.fleet().manager  # noqa: B018 - asked
    first = dict(machines.waited)
    machines.waited.clear()
    machines.fleet().containers("shop")
    assert first["c"] == fleet.REACH_SECONDS
    assert dict(machines.waited)["c"] < fleet.REACH_SECONDS
    assert dict(machines.waited)["a"] == fleet.REACH_SECONDS
    later = time.monotonic() + 60
    monkeypatch.setattr(time, "monotonic", lambda: later)
    machines.waited.clear()
    machines.fleet().containers("shop")
    assert dict(machines.waited) == dict.fromkeys("abc", fleet.REACH_SECONDS)


def test_who_answers_again_is_waited_for_as_ever() -> None:
    machines = Machines(silent={"c"})
    machines.fleet().containers("shop")
    machines.silent.clear()
    machines.fleet().containers("shop")
    machines.waited.clear()
    machines.fleet().containers("shop")
    assert dict(machines.waited)["c"] == fleet.REACH_SECONDS


def test_where_the_first_is_no_manager_the_others_are_asked_at_the_same_time() -> None:
    machines = Machines(silent={"b", "c"}, together=threading.Barrier(2))
    with pytest.raises(NoManagerError, match="no Swarm manager answers") as refused:
        machines.fleet().manager  # noqa: B018 - asked
    assert set(refused.value.unreachable) == {"b", "c"}


def test_nobody_waits_for_a_first_one_that_is_silent_where_another_one_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fleet, "_FIRST_SECONDS", 0.01)
    ended = threading.Event()

    class Stuck(Machines):
        def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
            if command.argv[2].endswith("a"):
                assert ended.wait(60)
            return Completed(command, 0, b"a Unreachable\nb Leader\nc Reachable", b"")

    found = Stuck().fleet()
    assert found.manager in (found.members["b"], found.members["c"])
    assert found.members["a"].patience < fleet.REACH_SECONDS  # it was waited for already
    ended.set()


def test_a_look_waits_less_for_a_host_that_the_managers_have_lost() -> None:
    class Lost(Machines):
        def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
            done = super().run(command, timeout=timeout)
            said = b"a Leader\nb Reachable\nc Unreachable" if "node" in command.argv else b""
            return Completed(command, 0, said, done.stderr)

    machines = Lost()
    found = machines.fleet()
    assert found.manager is found.members["a"]
    found.containers("shop")
    assert dict(machines.waited)["c"] < fleet.REACH_SECONDS
    assert dict(machines.waited)["b"] == fleet.REACH_SECONDS


def test_that_no_host_can_be_reached_is_something_else_than_no_quorum() -> None:
    with pytest.raises(HostsAway, match="a, b, c can't be reached") as away:
        Machines(silent={"c"}, refusing={"a", "b"}).fleet().manager  # noqa: B018 - asked
    assert set(away.value.unreachable) == {"a", "b", "c"}
    with pytest.raises(NoManagerError) as none:
        Machines().fleet().manager  # noqa: B018 - asked
    assert none.value.unreachable == {}


SSH = (
    'error during connect: Get "http://docker.example.com/v1.45/info": command [ssh -o ConnectTimeout=30 -l '
    "ops -- a docker system dial-stdio] has exited with exit status 255, please make sure the URL is valid, "
    "and Docker 18.09 or later is installed on the remote host: stderr={}"
)


def test_every_command_says_so_of_hosts_that_do_not_answer() -> None:
    hosts = HostsFake()
    hosts.hosts["a"].silent = SSH.format("ssh: Could not resolve hostname a: Name or service not known")
    hosts.hosts["b"].silent = SSH.format("ssh: connect to host b port 2299: Connection refused")
    hosts.hosts["c"].silent = "timeout"
    whys = (
        "a: the name a can't be resolved; b: ssh connections on port 2299 are refused; "
        "c: no answer within 6 s"
    )
    silent = Fleet(hosts, "docker", {name: f"ssh://ops@{name}" for name in "abc"})

    with pytest.raises(HostsAway) as all_away:
        silent.manager.call("node", "ls")
    assert reasons_of(all_away.value.unreachable) == whys

    silent.containers("shop")
    with pytest.raises(OpsError, match="not all hosts can be reached") as away:
        require_all(silent)
    assert re.sub("[26] s", "6 s", away.value.message).startswith(f"not all hosts can be reached ({whys})")
    told = str(said(away.value.message, words_of("ja")))
    assert "a: a という名前" in told
    assert "nobody" not in told
    with pytest.raises(OpsError, match="a can't be reached: the name a can't be resolved"):
        silent.members["a"].call("config", "ls")
    with pytest.raises(OpsError, match=r"^a can't be reached: the name a can't be resolved$"):
        get(silent.members["a"], "/nodes", 6.0)
    with pytest.raises(OpsError, match="can't be read: a can't be reached: the name a can't be resolved"):
        named(silent.members["a"], "shop.state", "shop.state.1")
