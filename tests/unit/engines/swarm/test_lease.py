"""One techsapo at a time on several machines: the lease in the Swarm's store."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.adapters import swarm
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.process import Command, Completed, TimedOut
from techsapo_ops.engines.swarm import lease as leases
from techsapo_ops.engines.swarm.lease import LOST_SECONDS, Lease, held
from techsapo_ops.errors import OpsError
from tests.fakes.swarm_store import SwarmStore


@pytest.fixture
def store() -> SwarmStore:
    return SwarmStore()


@contextmanager
def hold(store: SwarmStore, wait: float = 0.0, said: list[str] | None = None) -> Iterator[Lease]:
    tell = said.append if said is not None else lambda _: None
    with held(lambda: Docker(store), "shop", wait, tell) as lease:
        yield lease


def elsewhere(store: SwarmStore, number: int = 1) -> None:
    """What a command on another machine has written."""
    who = {
        "command": "techsapo up",
        "host": "b",
        "boot": "another",
        "pid": 1,
        "since": "2026-11-27T03:00:00+00:00",
    }
    assert swarm.take(Docker(store), "shop.lease", f"shop.lease.{number}", who)


def test_who_comes_second_is_told_who_is_at_work_and_where(store: SwarmStore) -> None:
    elsewhere(store)
    store.pass_by(12)
    with (
        pytest.raises(OpsError, match=r"`techsapo up` on host b \(pid 1, .*\).*heard from 12 s ago"),
        hold(store),
    ):
        pass
    assert store.names == ["shop.lease.1"]


def test_a_command_that_was_lost_with_its_machine_is_passed_over_after_a_minute(store: SwarmStore) -> None:
    elsewhere(store, 41)
    store.pass_by(LOST_SECONDS - 1)
    with pytest.raises(OpsError), hold(store):
        pass
    store.pass_by(2)
    said: list[str] = []
    with hold(store, said=said):
        assert store.names == ["shop.lease.42"]
    (words,) = said
    assert words.startswith(
        "`techsapo up` on host b (pid 1, since 2026-11-27T03:00:00+00:00) was interrupted"
    )


def test_a_command_of_this_machine_that_was_killed_is_passed_over_at_once(store: SwarmStore) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    who = {**leases.own_words(), "pid": ended.pid}
    swarm.take(Docker(store), "shop.lease", "shop.lease.7", who)
    with hold(store):
        assert store.names == ["shop.lease.8"]


def test_of_two_that_come_at_once_one_is_at_work(store: SwarmStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "_PAUSE", 0.05)
    inside: list[int] = []
    most: list[int] = []
    refused: list[OpsError] = []

    def work(number: int) -> None:
        try:
            with hold(store, wait=30.0):
                inside.append(number)
                most.append(len(inside))
                inside.remove(number)
        except OpsError as error:
            refused.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert refused == []
    assert set(most) == {1}
    assert len(most) == 6


def test_the_first_one_stops_once_another_has_taken_it_over(store: SwarmStore) -> None:
    with hold(store) as lease:
        lease.check()
        elsewhere(store, 2)
        lease.renew()
        with pytest.raises(OpsError, match="another command has taken over"):
            lease.check()
    assert store.names == ["shop.lease.1", "shop.lease.2"], "what is another's stays"


def test_renewed_it_is_heard_of_again(store: SwarmStore) -> None:
    with hold(store) as lease:
        store.pass_by(50)
        lease.renew()
        store.pass_by(50)
        with pytest.raises(OpsError, match="last heard from 50 s ago"), hold(store):
            pass
        lease.check()


@each_row("answers", [False, OpsError("`docker config rm` did not end within 30 s")])
def test_a_note_that_can_not_be_removed_now_ends_no_renewal_and_is_removed_later(
    monkeypatch: pytest.MonkeyPatch, answers: bool | OpsError
) -> None:
    store = SwarmStore()

    def fails(*_: object) -> bool:
        if isinstance(answers, OpsError):
            raise answers
        return answers

    with hold(store) as lease:
        with monkeypatch.context() as patched:
            patched.setattr(swarm, "remove", fails)
            lease.renew()
            lease.check()
        assert store.names == ["shop.lease.1", "shop.lease.2"]
        lease.renew()
        assert store.names == ["shop.lease.3"]
    assert store.names == []


def test_a_note_of_its_own_whose_answer_was_lost_is_nobody_elses(
    store: SwarmStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = swarm.take

    def cut_off(*words: Any) -> bool:
        take(*words)
        raise OpsError("`docker config create` did not end within 30 s")

    with hold(store) as lease:
        with monkeypatch.context() as patched:
            patched.setattr(swarm, "take", cut_off)
            lease.renew()
        lease.renew()
        lease.check()
        assert store.names == ["shop.lease.2"]
    assert store.names == []


def test_without_a_quorum_it_lasts_until_others_may_take_it(
    store: SwarmStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hold(store) as lease:
        store.away = True
        lease.renew()
        lease.check()
        passed = lease.renewed + LOST_SECONDS + 1
        # Of the clock that goes on while a laptop is suspended.
        monkeypatch.setattr(leases.time, "clock_gettime", {leases.time.CLOCK_BOOTTIME: passed}.__getitem__)
        with pytest.raises(OpsError, match="did not answer for 60 s"):
            lease.check()
        monkeypatch.undo()
        store.away = False


def test_without_a_quorum_nobody_begins(store: SwarmStore) -> None:
    store.away = True
    with pytest.raises(OpsError, match="does not have a leader"), hold(store):
        pass


def test_a_process_of_another_container_is_not_looked_for_among_those_here(store: SwarmStore) -> None:
    who = {**leases.own_words(), "pid": 2**22 + 1, "pids": "pid:[1]"}
    swarm.take(Docker(store), "shop.lease", "shop.lease.7", who)
    with pytest.raises(OpsError, match="is working on this stack"), hold(store):
        pass


def test_what_another_machine_wrote_does_nothing_to_a_terminal(store: SwarmStore) -> None:
    who = {"command": "\x1b]0;owned\x07", "host": "b\n" * 500, "pid": [1], "since": {}}
    swarm.take(Docker(store), "shop.lease", "shop.lease.7", who)
    with pytest.raises(OpsError) as refused, hold(store):
        pass
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 500


@each_row("data", ["", "no JSON", "[]", "7", "\xff"])
def test_a_damaged_note_is_named(data: str) -> None:
    store = SwarmStore()
    store.write("shop.lease", "shop.lease.7", data.encode("latin-1"))
    with (
        pytest.raises(
            OpsError, match=r"config shop\.lease\.7, written by techsapo \(shop\.lease\), is damaged"
        ) as refused,
        hold(store),
    ):
        pass
    assert "docker config rm shop.lease.7" in refused.value.hint


def test_no_argument_of_a_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases.sys, "argv", ["techsapo", "ask", "What is my password?"])
    assert leases.own_words()["command"] == "techsapo ask"
    monkeypatch.setattr(leases.sys, "argv", ["techsapo", "hosts", "drain", "a"])
    assert leases.own_words()["command"] == "techsapo hosts drain"


def test_another_manager_is_asked_once_the_first_is_cut_off(store: SwarmStore) -> None:
    cut, asked = SwarmStore(), ["cut"]
    cut.away = True

    def elsewhere_from_now_on() -> None:
        asked[0] = "store"

    manager = lambda: Docker(store if asked[0] == "store" else cut)  # noqa: E731 - as a fleet gives one
    asked[0] = "store"
    with held(manager, "shop", 0.0, lambda _: None) as lease:
        lease.elsewhere = elsewhere_from_now_on
        asked[0] = "cut"
        lease.renew()
        assert store.names == ["shop.lease.2"], "at once"
    assert store.names == []


def test_it_is_told_whether_anybody_is_at_work(store: SwarmStore) -> None:
    assert not leases.taken(Docker(store), "shop")
    elsewhere(store)
    assert leases.taken(Docker(store), "shop")
    store.pass_by(LOST_SECONDS + 1)
    assert not leases.taken(Docker(store), "shop")


@each_row("away", ["config inspect", "config ls"])
def test_a_store_that_can_not_be_read_is_not_an_empty_one(away: str) -> None:
    """The lease of somebody else is there, and no number is taken beside it."""
    store = SwarmStore()
    elsewhere(store, 41)
    run = store.run

    def loses_its_leader(command: Command, *, timeout: float = 60.0) -> Completed:
        store.away = " ".join(command.argv[1:3]) == away
        try:
            return run(command, timeout=timeout)
        finally:
            store.away = False

    store.run = loses_its_leader  # type: ignore[method-assign]
    with pytest.raises(OpsError, match="does not have a leader"), hold(store):
        pass
    assert store.names == ["shop.lease.41"]


@each_row("number", [1, 57])
def test_a_lease_that_can_not_be_read_is_held_by_somebody(number: int) -> None:
    store = SwarmStore()
    elsewhere(store, number)
    store.unread = frozenset({f"shop.lease.{number}"})
    with pytest.raises(OpsError, match=r"can't be read: .*does not have a leader"), hold(store):
        pass
    assert store.names == [f"shop.lease.{number}"]


def test_a_renewal_that_can_not_be_read_is_nobody_elses(store: SwarmStore) -> None:
    with hold(store) as lease:
        store.unread = frozenset({"shop.lease.2"})
        assert not lease.renew()
        lease.check()
        store.unread = frozenset()
        assert lease.renew()
        assert store.names == ["shop.lease.2"]


@pytest.mark.parametrize(
    "said",
    [
        "Error response from daemon: config {id} not found",
        "Error response from daemon: rpc error: code = NotFound desc = config {id} not found",
    ],
)
def test_a_note_that_was_removed_between_two_looks_is_none(store: SwarmStore, said: str) -> None:
    """In the words of Docker and of SwarmKit itself."""
    elsewhere(store, 4)

    class Between(SwarmStore):
        def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
            done = store.run(command, timeout=timeout)
            if command.argv[1:3] == ("config", "ls"):
                return replace(done, stdout=b"gone1\n" + done.stdout)
            if command.argv[1:3] == ("config", "inspect"):
                return replace(done, code=1, stderr=f"Warning: a\n{said.format(id='gone1')}\n".encode())
            return done

    (note,) = swarm.notes(Docker(Between()), "shop.lease")
    assert note.name == "shop.lease.4"


def test_a_manager_that_answers_nothing_leaves_time_to_ask_another_one(
    store: SwarmStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(leases, "now", lambda: clock[0])

    class Hole:
        def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
            clock[0] += timeout
            raise TimedOut(command, timeout)

    asked: list[Docker] = [Docker(Hole())]

    def others() -> None:
        clock[0] += 6.0  # the first one is asked whether it is back
        asked[0] = Docker(store)

    swarm.take(Docker(store), "shop.lease", "shop.lease.1", {"mark": "m"})
    (note,) = swarm.notes(Docker(store), "shop.lease")
    lease = Lease(lambda: asked[0], "shop.lease", note, "m", elsewhere=others, renewed=0.0)
    clock[0] = leases.RENEW_SECONDS
    assert lease.renew()
    assert clock[0] < LOST_SECONDS
    lease.check()
    assert lease.note.name == "shop.lease.2"


def test_it_is_trusted_from_before_its_note_was_written(
    store: SwarmStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others count from when a manager took it, whether its answer came or not."""
    clock = [100.0]
    monkeypatch.setattr(leases, "now", lambda: clock[0])
    take = swarm.take

    def slow(*words: Any) -> bool:
        done = take(*words)
        clock[0] += 8.0
        return done

    def unheard(*words: Any) -> bool:
        slow(*words)
        raise OpsError("`docker config create` did not end within 10 s")

    with hold(store) as lease:
        monkeypatch.setattr(swarm, "take", slow)
        assert lease.renew()
        assert lease.renewed == 100.0
        monkeypatch.setattr(swarm, "take", unheard)
        assert not lease.renew()
        monkeypatch.setattr(swarm, "take", slow)
        assert lease.renew()
        assert lease.renewed == 108.0
        assert store.names == ["shop.lease.3"]
