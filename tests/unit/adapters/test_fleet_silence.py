"""How long a command waits for machines that do not answer: once, whoever of its parts asks them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from techsapo_ops.adapters import fleet
from techsapo_ops.adapters.away import HostsAway, NoManagerError
from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.process import Command, Completed
from techsapo_ops.errors import OpsError


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


def test_who_was_silent_is_not_waited_for_as_long_by_another_part_of_the_command() -> None:
    machines = Machines(silent={"c"})
    with pytest.raises(OpsError):
        machines.fleet().manager  # noqa: B018 - asked
    first = dict(machines.waited)
    machines.waited.clear()
    machines.fleet().containers("shop")
    assert first["c"] == fleet.REACH_SECONDS
    assert dict(machines.waited)["c"] < fleet.REACH_SECONDS
    assert dict(machines.waited)["a"] == fleet.REACH_SECONDS


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
