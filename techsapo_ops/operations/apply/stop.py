"""What is done to a stack that stands: stop it, restart or reload services. Needs no rendering."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.apply.rolling import Rolling
from techsapo_ops.stack.engine import Action, Step
from techsapo_ops.stack.layout import Layout

if TYPE_CHECKING:
    from techsapo_ops.stack.engine import Engine


class Stoppable(Protocol):
    """An engine, or what is left of a stack without its spec."""

    def stop(self, *, remove_data: bool = False) -> tuple[str, ...]:
        """See Engine.stop."""
        ...


def locked(layout: Layout, wait: float) -> AbstractContextManager[int]:
    """Be the only techsapo at work on the stack; see adapters.lock.exclusive."""
    return exclusive(layout.state / "lock", wait=wait)


def down(
    stack: Stoppable, layout: Layout, *, wait: float = 0.0, remove_data: bool = False
) -> tuple[str, ...]:
    """Stop everything; returns the names that were stopped, none when nothing ran.

    Raises OpsError when another techsapo is at work for longer than `wait` seconds.
    """
    if not layout.state.is_dir():  # never there, or deleted under a stack that may still run
        return stack.stop(remove_data=remove_data)
    with locked(layout, wait):
        return stack.stop(remove_data=remove_data)


def restart(
    engine: Engine,
    layout: Layout,
    services: Sequence[str],
    *,
    wait: float = 0.0,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[str, ...]:
    """Restart `services` (names or kinds; all when empty) one at a time, each until it is ready.

    Between app instances behind nginx it waits until nginx asks the last one again. Returns their names.
    Raises OpsError when nothing runs, GateError for the first that does not come back.
    """
    with locked(layout, wait):
        names = running_names(engine, services)
        observed = engine.observe()
        rolling = Rolling(observed, say)
        for name in names:
            rolling.before(Step(Action.RESTART, name, ""), observed.services[name].kind)
            engine.restart(name)
        return names


def reload(engine: Engine, layout: Layout, services: Sequence[str], *, wait: float = 0.0) -> tuple[str, ...]:
    """Make `services` (names or kinds) read their configuration again; returns their names.

    Raises as `restart` does.
    """
    with locked(layout, wait):
        names = running_names(engine, services)
        for name in names:
            engine.reload(name)
        return names


def running_names(engine: Engine, words: Sequence[str]) -> tuple[str, ...]:
    """Names of the services meant by `words` (all when empty), in the order in which they were started."""
    observed = engine.observe()
    if not observed.running or not observed.services:
        raise OpsError("the stack is not running", "`techsapo up` starts it")
    for word in words:
        if not any(word in {s.name, s.kind} for s in observed.services.values()):
            raise OpsError(f"there is no service {word}", f"there are: {', '.join(observed.services)}")
    return tuple(
        s.name for s in observed.services.values() if not words or s.name in words or s.kind in words
    )
