"""A look brings the newest state without the stack's lock, and never while a command is at work."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.engines import at_work as module
from techsapo_ops.engines.at_work import at_work, refresh
from techsapo_ops.engines.swarm.machines_note import MachinesNote
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.layout import LOCK, Layout
from techsapo_ops.stack.service import Machine
from tests.fakes.swarm_volumes import Machines

MACHINES = tuple(Machine(name, "10.0.0.1", name) for name in "abc")


class Look:
    """A look at a stack of three hosts, in a thread; it goes on bringing the state until it is let go."""

    def __init__(self, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
        self.layout, self.brings, self.may_end = layout, threading.Event(), threading.Event()
        self.brought = 0
        self.refreshing = threading.Semaphore(0)
        """Counts who waits until nobody else brings the state, or has begun to bring it."""
        look, alone = self, module._refreshing

        def refreshing(state: Path) -> AbstractContextManager[int]:
            look.refreshing.release()
            return alone(state)

        class Shared:
            """In place of the hosts: what is asked is who may write when."""

            def __init__(self, *_: object) -> None: ...

            def refresh(self) -> None:
                look.brings.set()
                assert look.may_end.wait(20)
                look.brought += 1

            def at_work(self, _: float) -> Iterator[None]:
                raise OpsError("at work")

        monkeypatch.setattr(module, "_shared", Shared)
        monkeypatch.setattr(module, "_refreshing", refreshing)
        self.thread = threading.Thread(target=self.look)

    def look(self) -> None:
        refresh(self.layout, MachinesNote("shop", MACHINES), Machines(), lambda _: None)


@pytest.fixture
def look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Look]:
    made = Look(Layout(tmp_path / ".techsapo", tmp_path / "config"), monkeypatch)
    yield made
    made.may_end.set()
    if made.thread.ident is not None:
        made.thread.join(20)


def test_the_lock_is_free_while_a_look_brings_the_newest_state(look: Look) -> None:
    look.thread.start()
    assert look.brings.wait(20)
    with exclusive(look.layout.state / LOCK):
        pass


def test_a_command_that_begins_beside_a_look_fails_not_and_begins_when_it_has_ended(look: Look) -> None:
    began: list[int] = []

    def work() -> None:
        with at_work(look.layout, 0):
            began.append(look.brought)

    look.thread.start()
    assert look.refreshing.acquire(timeout=20)
    assert look.brings.wait(20)
    worker = threading.Thread(target=work)
    worker.start()
    assert look.refreshing.acquire(timeout=20), "it works beside what writes into the same folder"
    look.may_end.set()
    worker.join(20)
    assert began == [1]


def test_a_look_brings_nothing_while_a_command_is_at_work(look: Look) -> None:
    look.may_end.set()
    with at_work(look.layout, 0):
        look.look()
    assert look.brought == 0
    look.look()
    assert look.brought == 1


def test_a_look_that_waited_for_another_one_leaves_a_command_that_has_begun_alone(look: Look) -> None:
    """It saw the stack's lock free before it waited."""
    look.thread.start()
    assert look.refreshing.acquire(timeout=20)
    assert look.brings.wait(20)
    second = threading.Thread(target=look.look)
    second.start()
    assert look.refreshing.acquire(timeout=20)
    with exclusive(look.layout.state / LOCK):
        look.may_end.set()
        second.join(20)
        look.thread.join(20)
        assert look.brought == 1
