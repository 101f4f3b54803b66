"""Hosts join while another command may be at work on the stack that stands on the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from three_hosts import fleet, of

from techsapo_ops.engines.swarm.machines_note import note_machines
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.hosts import join
from techsapo_ops.stack.layout import Layout
from tests.fakes.swarm_hosts import HostsFake


class Lock:
    """The stack's lock, which others may hold; `seen` is what was done under it, and when it was shared."""

    def __init__(self) -> None:
        self.taken = False
        self.seen: list[str] = []

    @contextmanager
    def __call__(self, layout: Layout, wait: float, say: Callable[[str], None]) -> Iterator[int]:
        assert (layout.state.is_dir(), wait) == (True, 3.0)
        if self.taken:
            raise OpsError("another techsapo is at work")
        self.seen.append("alone")
        yield 1
        self.seen.append("shared")


@pytest.fixture
def lock(monkeypatch: pytest.MonkeyPatch) -> Lock:
    made = Lock()
    monkeypatch.setattr(join, "locked", made)
    return made


def beside(hosts: HostsFake, folder: Path, lock: Lock, *, noted: bool = True) -> list[str]:
    stack = of(folder)
    if noted:
        note_machines(stack.layout.state, "techsapo", stack.machines)
    with join.beside_others(fleet(hosts, stack), stack.layout, 3.0, lambda _: None):
        lock.seen.append("joined")
    return lock.seen


def test_hosts_join_a_stack_under_its_lock_and_the_others_hear_of_it(tmp_path: Path, lock: Lock) -> None:
    assert beside(HostsFake().joined(), tmp_path, lock) == ["alone", "joined", "shared"]


def test_none_joins_while_somebody_else_is_at_work(tmp_path: Path, lock: Lock) -> None:
    lock.taken = True
    with pytest.raises(OpsError, match="at work"):
        beside(HostsFake().joined(), tmp_path, lock)
    assert lock.seen == []


def test_before_anything_was_brought_up_or_without_a_swarm_there_is_nobody_to_wait_for(
    tmp_path: Path, lock: Lock
) -> None:
    assert beside(HostsFake().joined(), tmp_path / "new", lock, noted=False) == ["joined"]
    assert not (tmp_path / "new/.techsapo").exists()
    lock.seen.clear()
    assert beside(HostsFake(), tmp_path / "lost", lock) == ["joined"], "all of them are to be joined anew"
