"""Being the only techsapo at work on a stack: on this host, and where it has several, on all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.adapters.lock import exclusive, held
from techsapo_ops.adapters.process import Runner, SubprocessRunner
from techsapo_ops.engines.swarm.machines_note import MachinesNote, fleet_of, noted_machines
from techsapo_ops.messages import msg
from techsapo_ops.stack.layout import LOCK, Layout

if TYPE_CHECKING:
    from techsapo_ops.engines.swarm.shared_state import SharedState
    from techsapo_ops.stack.service import Machine

_REFRESH = "refresh.lock"
"""Lock file, in the state directory, of who brings the newest state here only to look at it."""
_WAIT = 30.0
"""Seconds for which one look waits for another one of this host, and a command that is at work for a look."""


def tell_nobody(_: str) -> None:
    """Nobody is told."""


@contextmanager
def at_work(layout: Layout, wait: float, say: Callable[[str], None] = tell_nobody) -> Iterator[int]:
    """Hold the stack's lock while the block runs, waiting up to `wait` seconds; yields its descriptor.

    On several machines the newest state directory is brought here first, and shared at the end. A look that
    is bringing it ends first; one that begins later sees the lock held, and brings nothing. Raises OpsError
    naming who holds it for longer.
    """
    with exclusive(layout.state / LOCK, wait=wait) as descriptor:
        if held(layout.state / _REFRESH):
            with _refreshing(layout.state):
                pass
        note = noted_machines(layout.state)
        if not note.machines:
            yield descriptor
            return
        with _shared(layout, note.project, note.machines, SubprocessRunner(), say).at_work(wait):
            yield descriptor


@contextmanager
def among_hosts(layout: Layout, wait: float, say: Callable[[str], None] = tell_nobody) -> Iterator[None]:
    """Be at work for the block where the stack has several machines. Raises OpsError as `at_work` does."""
    if not noted_machines(layout.state).machines:
        yield
        return
    with at_work(layout, wait, say):
        yield


@contextmanager
def sharing(layout: Layout, wait: float, say: Callable[[str], None] = tell_nobody) -> Iterator[None]:
    """As `among_hosts`, unless somebody of this host is at work: who shares it at his end."""
    if held(layout.state / LOCK):
        yield
        return
    with among_hosts(layout, wait, say):
        yield


def refresh(layout: Layout, note: MachinesNote, runner: Runner, say: Callable[[str], None]) -> None:
    """Bring the state directory to what the machines of `note` have, unless a command of this host is at work
    on it; nothing, where there are none.

    The stack's lock stays free, so that no command fails beside a look. Raises OpsError where no quorum of
    the machines answers.
    """
    if not note.machines or held(layout.state / LOCK):
        return
    with _refreshing(layout.state):
        if not held(layout.state / LOCK):
            _shared(layout, note.project, note.machines, runner, say).refresh()


def share(layout: Layout, project: str, machines: Sequence[Machine], runner: Runner) -> None:
    """Let a majority of the machines have the state directory as it is now. Raises OpsError."""
    _shared(layout, project, machines, runner, tell_nobody).publish()


def forget_shared(note: MachinesNote, runner: Runner) -> str:
    """Let the machines of `note` have nothing of the state directory, and what to say of that; nothing, where
    there are none. Raises OpsError.
    """
    from techsapo_ops.engines.swarm.shared_state import forget

    if not note.machines:
        return ""
    forget(fleet_of(note.machines, runner), note.project)
    return msg(
        "the hosts are still in their Swarm; if nothing else uses the Swarm, run `docker swarm leave "
        "--force` on each host"
    )


def _refreshing(state: Path) -> AbstractContextManager[int]:
    return exclusive(state / _REFRESH, wait=_WAIT, what=msg("fetching the latest state"), waits=False)


def _shared(
    layout: Layout, project: str, machines: Sequence[Machine], runner: Runner, say: Callable[[str], None]
) -> SharedState:
    from techsapo_ops.engines.swarm.shared_state import SharedState

    return SharedState(layout.state, project, fleet_of(machines, runner), say)
