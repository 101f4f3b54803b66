"""Stop single services so that they stay stopped, and start them again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from techsapo_ops.apply.administration import Warn, recorded
from techsapo_ops.apply.stop import require_not_half
from techsapo_ops.engines.at_work import at_work
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.observed import Observed, Stopped, note_stopped, stopped_of
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.step import Action, Step
from techsapo_ops.stack.topology import Topology


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
                if seen is not None and seen.state.kept_running:
                    say(msg("stopping {name}", name=name))
                    stack.engine.halt(name)
        still = {n for n, seen in observed.services.items() if seen.state.kept_running} - set(names)
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
                if observed.services[name].state.kept_running:
                    continue
                say(msg("starting {name}", name=name))
                Step(Action.RESTART, name, "asked for").perform(stack.engine)
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
    found = stopped_of(layout).get(service)
    if found is not None:
        raise OpsError(
            msg("{why} needs {service}, which was {found}", why=why, service=service, found=found),
            f"`techsapo start {service}`",
        )


def _meant(topology: Topology, observed: Observed, words: Sequence[str]) -> tuple[str, ...]:
    kinds = {s.name: s.kind for s in observed.services.values()}
    kinds |= {s.name: s.kind for s in topology.services}
    found: dict[str, None] = {}
    for word in words:
        meant = [name for name, kind in kinds.items() if word in {name, kind}]
        if not meant:
            raise unknown(msg("service"), word, kinds)
        found.update(dict.fromkeys(meant))
    return _in_order(topology, tuple(found))


def _in_order(topology: Topology, names: Sequence[str]) -> tuple[str, ...]:
    """Those that something else needs come first."""
    order = {s.name: place for place, s in enumerate(topology.services)}
    return tuple(sorted(names, key=lambda name: order.get(name, len(order))))
