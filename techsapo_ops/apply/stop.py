"""What is done to a running stack: stop all or single services, restart or reload them. Renders nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING

from techsapo_ops.apply.administration import Warn, recorded
from techsapo_ops.apply.data import forget_audit
from techsapo_ops.apply.history import may_run_on
from techsapo_ops.apply.steps import Rolling
from techsapo_ops.engines.at_work import at_work
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.data_notes import DataNote
from techsapo_ops.stack.journal import Operation, interrupted, require_ended
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.observed import Observed, Stopped, note_stopped, stopped_of
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.step import Action, Step
from techsapo_ops.stack.topology import Topology

if TYPE_CHECKING:
    from techsapo_ops.stack.engine import Recorded, Running


def down(
    stack: Recorded,
    *,
    wait: float = 0.0,
    remove_data: bool = False,
    warn: Warn = lambda _: None,
) -> tuple[str, ...]:
    """Stop everything; returns the names that were stopped, none when nothing ran.

    Also where it can't be recorded, as on a full disk, with a line for `warn`: it must always be possible to
    stop a stack. Raises OpsError when another techsapo is at work for longer than `wait` seconds.
    """
    if not stack.layout.state.is_dir():  # never there, or deleted under a stack that may still run
        return stack.stop(remove_data=remove_data)
    with at_work(stack.layout, wait, warn):
        with recorded(stack.layout, "down", {"remove_data": remove_data}, warn, anyway=True) as known:
            if remove_data:  # first: what is half removed is not missed either
                DataNote(stack.layout, stack.name).forget()
                forget_audit(stack.layout)
            elsewhere = may_run_on(stack.layout)
            stopped = stack.stop(remove_data=remove_data)
            known["stopped"] = list(stopped)
            if elsewhere:
                warn(
                    msg("the move of the stack from {host} to several hosts was not finished. Services may "
                        "still be running on {host}: to stop them, run `techsapo down` there, in the "
                        "stack's folder",
                        host=elsewhere)
                )  # fmt: skip
        return stopped


def restart(
    running: Running,
    services: Sequence[str],
    *,
    wait: float = 0.0,
    say: Callable[[str], None] = lambda _: None,
    pause: Callable[[float], None] = time.sleep,
) -> tuple[str, ...]:
    """Restart `services` (names or kinds; all when empty) one at a time, each until it is ready.

    Between app instances behind nginx it waits, by `pause`, until nginx asks the last one again. Returns
    their names in the order in which it was done. Raises OpsError when nothing runs, GateError for the first
    that does not come back.
    """
    with at_work(running.layout, wait, say):
        names = running_names(running, services)
        require_not_half(running.layout, names)
        observed = running.observe()
        rolling = Rolling(observed, say, pause)
        done: list[str] = []
        for kind, same in groupby(names, key=lambda name: observed.services[name].kind):
            # Asked for each kind when its turn comes: what was done before may have moved what they go by.
            for name in running.in_turn(tuple(same)):
                step = Step(Action.RESTART, name, msg("requested"))
                rolling.before(step, kind)
                step.perform(running, say=say)
                done.append(name)
        return tuple(done)


def require_not_half(layout: Layout, names: Sequence[str]) -> None:
    """Raise OpsError where one of `names` would answer from what an interrupted restore left."""
    if (left := interrupted(layout)) is not None and set(left.facts.apps) & set(names):
        require_ended(layout, Operation.RESTORE)


def reload(running: Running, services: Sequence[str], *, wait: float = 0.0) -> tuple[str, ...]:
    """Make `services` (names or kinds) read their configuration again; returns their names.

    Raises as `restart` does.
    """
    with at_work(running.layout, wait):
        names = running_names(running, services)
        for name in names:
            Step(Action.RELOAD, name, msg("requested")).perform(running)
        return names


def running_names(running: Running, words: Sequence[str]) -> tuple[str, ...]:
    """Names of the services meant by `words` (all when empty), in the order in which they were started.

    Those that somebody has stopped are passed over. Raises OpsError where none is left.
    """
    observed = running.observe()
    observed.require_known()
    if not observed.running or not observed.services:
        raise OpsError(msg("the stack is not running"), msg("`techsapo up` starts it"))
    for word in words:
        if not any(word in {s.name, s.kind} for s in observed.services.values()):
            raise unknown(msg("service"), word, observed.services)
    meant = [s.name for s in observed.services.values() if not words or s.name in words or s.kind in words]
    names = tuple(name for name in meant if name not in observed.stopped)
    if not names:
        name = meant[0]
        raise OpsError(
            msg("{name} was {stopped}", name=name, stopped=observed.stopped[name]),
            msg("`techsapo start {name}` starts it", name=name),
        )
    return names


@dataclass(frozen=True, slots=True)
class Halted:
    """The names that were stopped, and those that need one of them and run on."""

    services: tuple[str, ...]
    needing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Started:
    """The names that run again; `later` are those that only `up` can make."""

    services: tuple[str, ...]
    later: tuple[str, ...] = ()


def stop_services(
    stack: Stack, words: Sequence[str], *, wait: float = 0.0, say: Warn = lambda _: None
) -> Halted:
    """Stop the services that `words` mean (names or kinds), each before what it needs; they stay stopped.

    It is noted before it is done: after a kill in between, the same call finishes it. Raises OpsError for a
    word that means none, and where it can't be recorded.
    """
    with at_work(stack.layout, wait, say):
        observed = stack.engine.observe()
        observed.require_known()
        names = tuple(reversed(_meant(stack.topology, observed, words)))
        known = stopped_of(stack.layout)
        made = Stopped(stack.user, datetime.now(UTC))
        with recorded(stack.layout, "stop", {"services": list(names)}, say):
            note_stopped(stack.layout, {**known, **{name: known.get(name, made) for name in names}})
            for name in names:
                seen = observed.services.get(name)
                if seen is not None and seen.state.running_or_restarting:
                    say(msg("stopping {name}", name=name))
                    stack.engine.halt(name)
        still = {n for n, seen in observed.services.items() if seen.state.running_or_restarting} - set(names)
        needing = (s.name for s in stack.topology.services if s.name in still and set(s.needs) & set(names))
        return Halted(names, tuple(needing))


def start_services(
    stack: Stack,
    words: Sequence[str],
    *,
    wait: float = 0.0,
    say: Warn = lambda _: None,
) -> Started:
    """Start the services that `words` mean, or without any all that were stopped; each until it is ready.

    They start as `up` started them last. Raises OpsError for a word that means none, GateError for the first
    that does not become ready: it is to run from then on, so `up` tries it too.
    """
    with at_work(stack.layout, wait, say):
        observed = stack.engine.observe()
        observed.require_known()
        known = stopped_of(stack.layout)
        meant = _meant(stack.topology, observed, words) if words else tuple(known)
        names = _in_order(stack.topology, meant)
        require_not_half(stack.layout, names)
        with recorded(stack.layout, "start", {"services": list(names)}, say):
            note_stopped(stack.layout, {name: each for name, each in known.items() if name not in names})
            there = [name for name in names if name in observed.services and not observed.services[name].gone]
            for name in there:
                if observed.services[name].state.running_or_restarting:
                    continue
                say(msg("starting {name}", name=name))
                Step(Action.RESTART, name, "requested").perform(stack.engine)
                # An `up` while it was stopped could not do what follows there, such as migrations.
                stack.following.ready(stack.engine, stack.topology, name)
        return Started(tuple(there), tuple(name for name in names if name not in there))


def forget_others(topology: Topology) -> None:
    """Forget what was stopped and is no service any more: a new one of that name would not start.

    Raises OpsError.
    """
    known = stopped_of(topology.layout)
    still = {name: each for name, each in known.items() if topology.find(name) is not None}
    if still != known:
        note_stopped(topology.layout, still)


def require_runs(layout: Layout, service: str, why: str) -> None:
    """Raise OpsError where `service` was stopped and has to run for `why`."""
    stopped = stopped_of(layout).get(service)
    if stopped is not None:
        raise OpsError(
            msg("{why} needs {service}, which was {stopped}", why=why, service=service, stopped=stopped),
            f"`techsapo start {service}`",
        )


def _meant(topology: Topology, observed: Observed, words: Sequence[str]) -> tuple[str, ...]:
    kinds = {s.name: s.kind for s in observed.services.values()}
    kinds |= {s.name: s.kind for s in topology.services}
    chosen: dict[str, None] = {}
    for word in words:
        meant = [name for name, kind in kinds.items() if word in {name, kind}]
        if not meant:
            raise unknown(msg("service"), word, kinds)
        chosen.update(dict.fromkeys(meant))
    return _in_order(topology, tuple(chosen))


def _in_order(topology: Topology, names: Sequence[str]) -> tuple[str, ...]:
    """Those that something else needs come first."""
    order = {s.name: place for place, s in enumerate(topology.services)}
    return tuple(sorted(names, key=lambda name: order.get(name, len(order))))
