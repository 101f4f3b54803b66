"""The state directory on several machines: what is the newest, and what becomes of what is here."""

from __future__ import annotations

from pathlib import Path

import pytest

from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.engines.swarm import bundle, shared_state
from techsapo_ops.engines.swarm import lease as leases
from techsapo_ops.engines.swarm.shared_state import SharedState
from techsapo_ops.errors import OpsError
from tests.fakes.swarm_store import SwarmStore
from tests.fakes.swarm_volumes import Machines


@pytest.fixture
def machines() -> Machines:
    return Machines()


class Host:
    """A host with a state directory of its own."""

    def __init__(self, machines: Machines, state: Path) -> None:
        self.state = state
        (state / "ledger").mkdir(parents=True)
        self.said: list[str] = []
        self.shared = SharedState(
            state, "shop", Fleet(machines, "docker", {n: n for n in "abc"}), self.said.append
        )

    def write(self, text: str) -> None:
        (self.state / "ledger/1").write_text(text)

    @property
    def text(self) -> str:
        return (self.state / "ledger/1").read_text()


@pytest.fixture
def here(machines: Machines, tmp_path: Path) -> Host:
    return Host(machines, tmp_path / "here")


@pytest.fixture
def there(machines: Machines, tmp_path: Path) -> Host:
    return Host(machines, tmp_path / "there")


def changed(host: Host, text: str) -> None:
    with host.shared.at_work(0):
        host.write(text)


def test_one_goes_on_where_the_other_left_off(here: Host, there: Host) -> None:
    changed(here, "first")
    there.shared.refresh()
    assert there.text == "first"
    changed(there, "second")
    here.shared.refresh()
    assert (here.text, here.said) == ("second", [])


def test_who_stood_still_writes_over_nothing_of_who_went_on(
    machines: Machines, here: Host, there: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Suspended within an apply: its end is after somebody else's whole one."""
    changed(here, "first")

    def stands_still() -> None:
        with here.shared.at_work(0):
            here.write("mine")
            machines.store.pass_by(leases.LOST_SECONDS + 1)
            changed(there, "theirs")
            later = leases.now() + leases.LOST_SECONDS + 1
            monkeypatch.setattr(leases, "now", lambda: later)

    with pytest.raises(OpsError, match=r"recorded on this host only.*did not answer for 60 s") as lost:
        stands_still()
    assert "`techsapo up` completes" in lost.value.hint
    monkeypatch.undo()
    fresh = Host(machines, here.state.parent / "fresh")
    fresh.shared.refresh()
    assert fresh.text == "theirs"
    here.shared.refresh()
    assert here.text == "theirs"
    assert "was saved separately" in here.said[0]


def test_a_command_that_failed_and_lost_its_lease_says_both(here: Host) -> None:
    def fails() -> None:
        with here.shared.at_work(0):
            shared_state._LEASES[here.state].lost = "another command has taken over"
            raise OpsError("redis-a did not start")

    with pytest.raises(OpsError, match="redis-a did not start"):
        fails()
    (words,) = here.said
    assert "recorded on this host only" in words


def test_notes_that_can_not_be_read_are_not_taken_for_none(machines: Machines, here: Host) -> None:
    """A manager without a leader prints what it has, `[]`, and fails."""
    changed(here, "first")
    older = machines.store.names
    changed(here, "second")
    unread = [name for name in machines.store.names if name not in older]
    assert unread
    for cut in (unread, machines.store.names):
        machines.store.unread = frozenset(cut)
        with pytest.raises(OpsError, match=r"can't be read: .*does not have a leader"):
            here.shared.refresh()
    machines.store.unread = frozenset()
    here.shared.refresh()
    assert (here.text, here.said) == ("second", [])


def test_who_was_not_told_of_another_ones_state_does_not_write_over_it(
    machines: Machines, here: Host, there: Host
) -> None:
    changed(here, "first")
    there.shared.refresh()
    there.write("theirs")
    there.shared.publish()
    here.write("mine")
    with pytest.raises(OpsError, match="another techsapo command has updated the shared state"):
        here.shared.publish()
    fresh = Host(machines, here.state.parent / "fresh")
    fresh.shared.refresh()
    assert fresh.text == "theirs"
    with pytest.raises(OpsError, match="another techsapo"):
        Host(machines, here.state.parent / "new").shared.publish()


class Killed(BaseException):
    """As by kill -9."""


def killed(*_: object) -> None:
    raise Killed


def test_who_was_killed_once_it_had_shared_has_set_nothing_aside(
    here: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(here, "first")
    here.write("second")
    with monkeypatch.context() as patched:
        patched.setattr(SharedState, "_note", killed)
        with pytest.raises(Killed):
            here.shared.publish()
    here.shared.refresh()
    assert (here.text, here.said) == ("second", [])
    assert not (here.state / "set-aside").exists()
    changed(here, "third")


def test_what_a_killed_one_had_brought_half_of_is_set_aside_and_the_whole_comes(
    here: Host, there: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed(here, "first")
    there.shared.refresh()
    there.said.clear()
    with here.shared.at_work(0):
        (here.state / "ledger/2").write_text("second")
        here.write("second")
    write = bundle.write_atomic
    left = [here.state.parent / "there/ledger/1"]

    def dies_after_one(path: Path, *words: object) -> None:
        if path not in left:
            killed()
        write(path, *words)  # type: ignore[arg-type] # as it was called

    with monkeypatch.context() as patched:
        patched.setattr(bundle, "write_atomic", dies_after_one)
        with pytest.raises(Killed):
            there.shared.refresh()
    there.shared.refresh()
    assert (there.text, (there.state / "ledger/2").read_text()) == ("second", "second")
    (words,) = there.said
    assert "the state that is only on this host was saved separately" in words
    there.shared.refresh()
    assert len(there.said) == 1


def test_a_swarm_that_was_set_back_takes_nothing_away_unsaid(machines: Machines, here: Host) -> None:
    """Its store came out of an older copy, or another Swarm has a stack of this name."""
    changed(here, "first")
    older = dict(machines.volumes["a"]), machines.store.copy()
    changed(here, "second")
    machines.volumes, machines.store = {name: dict(older[0]) for name in "abc"}, older[1]

    here.shared.refresh()

    assert here.text == "first"
    assert (
        "have state 1 of this stack, and this host has state 2: the state of the other hosts was reset"
        in here.said[0]
    )
    (aside,) = (here.state / "set-aside").iterdir()
    assert b"second" in aside.read_bytes()
    assert aside.stat().st_mode & 0o777 == 0o600
    changed(here, "third")
    assert [name for name in machines.store.names if ".state." in name][-1].endswith("2")


def test_a_swarm_that_is_new_is_told_what_is_here(machines: Machines, here: Host) -> None:
    changed(here, "first")
    machines.store = SwarmStore()
    here.shared.refresh()
    assert (here.text, here.said) == ("first", [])
    changed(here, "second")
    assert "shop.state.000000002" in machines.store.names


def test_a_bundle_that_a_machine_has_made_up_is_not_taken(
    machines: Machines, here: Host, there: Host
) -> None:
    changed(here, "first")
    slot = "state-1.tar"
    machines.volumes["a"][slot] = machines.volumes["a"][slot].replace(b"first", b"other")
    there.shared.refresh()
    assert there.text == "first", "of the next machine"
    for volume in machines.volumes.values():
        volume[slot] = machines.volumes["a"][slot]
    with pytest.raises(OpsError, match="no host that answers has state 1"):
        Host(machines, here.state.parent / "fresh").shared.refresh()


def test_notes_of_a_stack_whose_name_begins_alike_are_its_own(machines: Machines, here: Host) -> None:
    machines.store.write("shop.state", "shop.state.old", b"{}")
    machines.store.write("shop-b.state", "shop-b.state.000000009", b'{"digest": "x", "number": 9}')
    changed(here, "first")
    assert "shop.state.000000001" in machines.store.names


def test_what_a_command_failed_of_is_raised_though_nobody_takes_what_came_of_it(
    here: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(_: SharedState) -> None:
        raise OpsError("no quorum answers")

    monkeypatch.setattr(SharedState, "publish", nobody)

    def fails() -> None:
        with here.shared.at_work(0):
            raise OpsError("redis-a did not start")

    with pytest.raises(OpsError, match="redis-a did not start"):
        fails()
    assert "no quorum answers" in here.said
    with pytest.raises(OpsError, match="no quorum answers"):
        changed(here, "whole")
