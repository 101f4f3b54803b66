"""A machine is spared for a while: what leads is handed over, what runs there is stopped; and back again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby

from techsapo_ops.adapters.fleet import Fleet
from techsapo_ops.adapters.unreachable import lacking
from techsapo_ops.apply.administration import recorded
from techsapo_ops.engines.at_work import at_work
from techsapo_ops.engines.swarm.engine import SwarmEngine, swarm_of
from techsapo_ops.engines.swarm.nodes import Node, nodes_of
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import kind_of, kinds
from techsapo_ops.stack.observed import stopped_of
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.stack import Stack

_STOP_SECONDS = 180.0
_READY_SECONDS = 420.0
_ASK_SECONDS = 6.0
_PAUSE = 1.0


def drain(
    stack: Stack,
    name: str,
    *,
    force: bool,
    wait: float,
    say: Callable[[str], None],
    warn: Callable[[str], None],
) -> float:
    """Stop all of the stack on the machine `name`, when the others can do without it; in how many seconds.

    Masters are handed over first, and keepalived gives the front's address away when it ends. What was
    stopped stays so over a reboot, until `activate`, and meanwhile no alert tells of it. Raises OpsError
    where the others would not be enough, or where what leads there can't be handed over, unless `force`.
    """
    engine, began = swarm_of(stack.engine), time.monotonic()
    with at_work(stack.layout, wait, warn), recorded(stack.layout, "hosts drain", {"host": name}, warn):
        nodes = nodes_of(engine.fleet.manager)
        node = node_named(nodes, name)
        reasons = list(needed(engine, nodes, name)) if stack.engine.observe().running else []
        if reasons and not force:
            raise OpsError(
                msg("host {name} can't be drained now: {reasons}", name=name, reasons="; ".join(reasons)),
                msg("fix this first; `--force` drains the host anyway, but the stack may stop answering"),
            )
        for reason in reasons:
            warn(reason)
        if node.ready:
            say(msg("handing over the primaries on {name}", name=name))
            left = engine.hand_over(name)
            if left and not force:
                raise OpsError(
                    msg("the primaries on {name} could not be handed over: {reasons}",
                        name=name, reasons="; ".join(left)),
                    msg(
                        "nothing was stopped; `techsapo health` shows what is wrong. `--force` stops the "
                        "primaries anyway, but their last writes may be lost"
                    ),
                )  # fmt: skip
            for reason in left:
                warn(reason)
        engine.fleet.manager.call("node", "update", "--availability", "drain", node.id)
        # At once: a minute later alerts tell of what stops there.
        _tell_monitoring(engine, warn)
        say(msg("waiting until nothing runs on {name}", name=name))
        if node.ready:
            _wait_stopped(engine, name, stack.pause)
    return time.monotonic() - began


def activate(
    stack: Stack, name: str, *, wait: float, say: Callable[[str], None], warn: Callable[[str], None]
) -> float:
    """Let the stack run on a drained machine again, and wait until all there is ready; in how many seconds.

    Raises OpsError naming what does not get ready.
    """
    engine, began = swarm_of(stack.engine), time.monotonic()
    with at_work(stack.layout, wait, warn), recorded(stack.layout, "hosts activate", {"host": name}, warn):
        manager = engine.fleet.manager
        node = node_named(nodes_of(manager), name)
        manager.call("node", "update", "--availability", "active", node.id)
        say(msg("waiting for the services on {name}", name=name))
        try:
            wait_ready(engine, name, stack.pause)
        finally:  # alerts are to fire again for what does not get ready
            _tell_monitoring(engine, warn)
    return time.monotonic() - began


def _tell_monitoring(engine: SwarmEngine, warn: Callable[[str], None]) -> None:
    """Let alerts know which hosts are drained, through all node exporters; `warn` gets what is missing.

    Where it can't be done, the next apply or job does it.
    """
    try:
        if words := lacking(engine.deliver()):
            warn(words)
    except OpsError as error:
        warn(msg("monitoring does not know which hosts are drained: {why}", why=error.message))


def node_named(nodes: Sequence[Node], name: str) -> Node:
    """The node of a machine, the one that is ready where there are two. Raises OpsError for none."""
    named = sorted((n for n in nodes if n.name == name), key=lambda node: not node.ready)
    if not named:
        raise OpsError(
            msg("host {name} is not a node of the Swarm; the Swarm's nodes are {nodes}",
                name=name, nodes=", ".join(sorted(n.name for n in nodes))),
            msg("`techsapo hosts add {name}`", name=name),
        )  # fmt: skip
    return named[0]


def needed(engine: SwarmEngine, nodes: Sequence[Node], name: str) -> Iterator[str]:
    """Why the other machines can't do without `name`: one reason for each quorum that would be lost."""
    managers = [node for node in nodes if node.reach]
    left = [n for n in managers if n.name != name and n.ready and n.reach != "unreachable"]
    if 2 * len(left) <= len(managers):
        yield msg("only {left} of {all} managers would be left", left=len(left), all=len(managers))
    for node in nodes:
        if node.name != name and node.availability != "active":
            yield msg("host {other} is already drained", other=node.name)
    ask = engine.prober_inside()
    # One on each machine, with data of its own: a majority of them has to be well without this one.
    kinds = {
        kind: of
        for kind, group in groupby(engine.topology.services, lambda service: service.kind)
        if len(of := list(group)) == len(engine.topology.machines)
        and of[0].facts.data
        and not kind_of(of[0]).starts_first
    }
    others = [s for of in kinds.values() for s in of if s.machine.name != name]

    def well(service: Service) -> bool:
        return ask(service, _ASK_SECONDS).ok

    with ThreadPoolExecutor(max(len(others), 1)) as pool:
        are = dict(zip((s.name for s in others), pool.map(well, others), strict=True))
    for kind, of in kinds.items():
        there = sum(are.get(service.name, False) for service in of)
        if 2 * there <= len(of):
            yield msg(
                "only {there} of {all} {kind} services would be left", there=there, all=len(of), kind=kind
            )


def _wait_stopped(engine: SwarmEngine, name: str, pause: Callable[[float], None]) -> None:
    deadline = time.monotonic() + _STOP_SECONDS
    while left := _running(engine.fleet, engine.project, name):
        if time.monotonic() > deadline:
            raise OpsError(
                msg("still running on {name}: {left}", name=name, left=", ".join(sorted(left))),
                msg("`techsapo hosts check {name}`", name=name),
            )
        pause(_PAUSE)


def _running(fleet: Fleet, project: str, name: str) -> set[str]:
    containers = fleet.members[name].stack_containers(project, timeout=_ASK_SECONDS * 3)
    return {container.service for container in containers if container.running}


def wait_ready(engine: SwarmEngine, name: str, pause: Callable[[float], None]) -> None:
    """Wait until all services of a machine answer that were brought up there, and that nobody has stopped.

    Raises OpsError naming those that don't.
    """
    known = engine.state.load()
    halted = stopped_of(engine.layout)
    wanted = [s for s in engine.topology.on(name) if s.name in known and s.name not in halted]
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        engine.forget()
        ask = engine.prober_inside()
        late = {s.name: answer.detail for s in wanted if not (answer := ask(s, _ASK_SECONDS)).ok}
        if not late:
            return
        if time.monotonic() > deadline:
            first = next(iter(late))
            raise OpsError(
                msg("not ready on {name}: {late}", name=name,
                    late="; ".join(f"{service}: {why}" for service, why in late.items())),
                f"`techsapo logs {first}`",
            )  # fmt: skip
        pause(_PAUSE)


@dataclass(frozen=True, slots=True)
class TakenOver:
    """Which service took over from which, in seconds, and how many bytes of what was written were lost."""

    before: str
    now: str
    seconds: float
    lost: int


def switchover(stack: Stack, kind: str, to: str | None, warn: Callable[[str], None]) -> TakenOver:
    """Let the server of `kind` on the machine `to` take over; without, the best one.

    Raises OpsError where the stack has one server of it, or the switch would lose something; it then goes on
    as before. Raises HostsAway where hosts that can't be reached may have all that runs.
    """
    able = [each.name for each in kinds() if each.beside("switchover") is not None]
    module = kind_of(kind).beside("switchover") if kind in able else None
    if module is None:
        raise OpsError(
            msg("{kind} does not support a switchover", kind=repr(kind)),
            msg("supported: {kinds}", kinds=", ".join(able)),
            exit_code=2,
        )
    if len(stack.topology.of_kind(kind)) < 2:
        raise OpsError(
            msg(
                "this stack has only one {title}, so no other can take over", title=kind_of(kind).facts.title
            ),
            msg("a stack on three hosts has one such server on each host: see docs/three-machines.md"),
            exit_code=2,
        )
    stack.engine.observe().require_known()
    with recorded(stack.layout, msg("hosts switchover"), {"service": kind, "to": to}, warn) as known:
        switched = module.switch_over(stack, to)
        taken_over = TakenOver(switched.old.name, switched.new.name, switched.seconds, switched.lost)
        known.update({"before": taken_over.before, "now": taken_over.now, "lost": taken_over.lost})
    return taken_over
