"""The record of administration on several hosts: one chain, whichever of them adds to it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from techsapo_ops.adapters import swarm_objects
from techsapo_ops.adapters.docker import Docker
from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.engines import at_work as at_works
from techsapo_ops.engines.at_work import at_work, refresh
from techsapo_ops.engines.swarm.machines_note import note_machines
from techsapo_ops.errors import OpsError
from techsapo_ops.operations import administration
from techsapo_ops.operations.administration import actions, chain_of, head_of, recorded, verify
from techsapo_ops.stack.layout import LOCK, Layout
from techsapo_ops.stack.machine import Machine
from tests.fakes.swarm_volumes import Machines

MACHINES = tuple(Machine(name, f"10.0.0.{n}", name) for n, name in enumerate("abc", 1))


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch) -> Machines:
    found = Machines()
    monkeypatch.setattr(at_works, "SubprocessRunner", lambda: found)
    monkeypatch.setattr(administration, "_WAIT", 0.0)
    return found


@pytest.fixture
def host(machines: Machines, tmp_path: Path) -> Callable[[str], Layout]:
    def made(name: str) -> Layout:
        layout = Layout(tmp_path / name / ".techsapo", tmp_path / name / "generated")
        (layout.state / "ledger").mkdir(parents=True)
        note_machines(layout.state, "shop", MACHINES)
        newest(layout, machines)
        return layout

    return made


def newest(layout: Layout, machines: Machines) -> list[str]:
    said: list[str] = []
    refresh(layout, "shop", MACHINES, machines, said.append)
    return said


def works(layout: Layout, text: str) -> None:
    """A command that changes something, as a job of that host does."""
    with at_work(layout, 0.0):
        (layout.state / "ledger/1").write_text(text)


def told(layout: Layout) -> list[tuple[str, str | None]]:
    return [(each.action, each.outcome) for each in actions(chain_of(layout).read())]


def test_what_one_host_has_recorded_all_have_and_go_on_from(
    machines: Machines, host: Callable[[str], Layout]
) -> None:
    a = host("a")
    works(a, "first")
    b = host("b")
    warned: list[str] = []
    with recorded(a, "alerts silence", {}, warned.append):
        pass
    noted = head_of(a)
    assert noted is not None

    works(b, "a job of b")
    with recorded(b, "secrets show", {"name": "x"}, warned.append):
        pass

    assert newest(a, machines) == []
    assert told(a) == told(b) == [("alerts silence", "done"), ("secrets show", "done")]
    assert verify(chain_of(a).read(), [("a backup", noted)]).ok
    assert warned == []


def test_within_a_command_that_is_at_work_it_is_shared_by_that_one(
    machines: Machines, host: Callable[[str], Layout]
) -> None:
    a = host("a")
    works(a, "first")
    with at_work(a, 0.0):
        before = machines.store.names
        with recorded(a, "up", {}, lambda _: None):
            assert machines.store.names == before
    b = host("b")
    assert told(b) == [("up", "done")]


@pytest.mark.parametrize("trouble", ["no quorum", "another host"])
def test_where_it_can_not_be_shared_it_is_recorded_here_and_said(
    machines: Machines, host: Callable[[str], Layout], trouble: str
) -> None:
    a = host("a")
    works(a, "first")
    if trouble == "no quorum":
        machines.store.away = True
    else:
        who = {"command": "techsapo up", "host": "b", "boot": "another", "pid": 1}
        assert swarm_objects.take(Docker(machines.store), "shop.lease", "shop.lease.1", who)
    warned: list[str] = []
    with recorded(a, "alerts ack", {}, warned.append):
        pass
    assert told(a) == [("alerts ack", "done")]
    assert len(warned) == 2
    assert "recorded here alone, the other hosts don't know of it" in warned[0]


def test_too_few_hosts_that_take_it_are_said_once_it_is_recorded(
    machines: Machines, host: Callable[[str], Layout]
) -> None:
    a = host("a")
    works(a, "first")
    warned: list[str] = []
    machines.full = {"b", "c"}
    with recorded(a, "alerts ack", {}, warned.append):
        pass
    assert told(a) == [("alerts ack", "done")]
    assert "too few hosts take the state directory" in warned[0]


def test_what_can_not_be_written_is_not_done(host: Callable[[str], Layout]) -> None:
    a = host("a")
    chain_of(a).path.mkdir(parents=True)
    with pytest.raises(OpsError, match="alerts ack was not done"), recorded(a, "alerts ack", {}, print):
        pytest.fail("it was done")


def test_one_host_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_works, "SubprocessRunner", lambda: pytest.fail("somebody was asked"))
    layout = Layout(tmp_path, tmp_path)
    with ExitStack() as held:
        held.enter_context(exclusive(layout.state / LOCK))
        with recorded(layout, "alerts ack", {}, print):
            pass
    assert told(layout) == [("alerts ack", "done")]
