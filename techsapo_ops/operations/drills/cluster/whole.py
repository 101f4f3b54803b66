"""Whether nothing is missing in a stack on several machines, so that it can do without something."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

from techsapo_ops.engines.swarm.engine import SwarmEngine
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.operations.hosts.facts import NodeFacts, nodes_of
from techsapo_ops.services.registry import kinds
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.stack_file import NODE_LABEL

_ASK_SECONDS = 6.0
_AT_ONCE = 8


def require_there(engine: SwarmEngine) -> None:
    """Raise OpsError where a machine does not answer, or nothing of the stack runs: nobody need be asked."""
    observed = engine.observe()
    observed.require_known()
    if reasons := _away(engine):
        raise OpsError(
            msg("the drill was not begun: {reasons}", reasons=joined("; ", reasons)),
            msg("{look}, then again", look="`techsapo hosts check`"),
        )
    if not observed.running:
        raise OpsError(msg("the stack is not running"), msg("`techsapo up` starts it"))


def _away(engine: SwarmEngine) -> tuple[str, ...]:
    return tuple(
        msg("{machine} can't be reached: {why}", machine=name, why=why)
        for name, why in engine.fleet.unreachable.items()
    )


def missing(stack: Stack, engine: SwarmEngine, host: str = "") -> tuple[str, ...]:
    """What is not there that has to be before `host`, or one service, can be taken away.

    Raises OpsError where no Swarm manager answers.
    """
    engine.forget()
    engine.containers()
    if away := _away(engine):
        return away
    found = [*_nodes(engine, host), *_services(engine)]
    known = led(stack)
    return tuple(found or (known[1].trouble(stack) if known is not None else ()))


def led(stack: Stack) -> tuple[str, ModuleType] | None:
    """The kind of which one service leads the others, and what drills know of it; None for none."""
    found = ((kind.name, kind.beside("drill")) for kind in kinds() if stack.topology.has(kind.name))
    return next(((name, module) for name, module in found if module is not None), None)


def _nodes(engine: SwarmEngine, host: str) -> Iterator[str]:
    nodes = nodes_of(engine.fleet.manager, NODE_LABEL)
    for machine in engine.topology.machines:
        node = next((n for n in nodes if n.name == machine.name and n.ready), None)
        if node is None:
            yield msg("{name} is missing in the Swarm", name=machine.name)
        elif node.availability != "active":
            yield msg("{other} is drained already", other=machine.name)
    left = [n for n in _managers(nodes) if n.ready and n.reach != "unreachable" and n.name != host]
    every = _managers(nodes)
    if 2 * len(left) <= len(every):
        yield msg("{left} of {all} managers would be left", left=len(left), all=len(every))


def _managers(nodes: Sequence[NodeFacts]) -> list[NodeFacts]:
    return [node for node in nodes if node.reach]


def _services(engine: SwarmEngine) -> Iterator[str]:
    """Of Galera a member is ready that is in the cluster: fewer than all of them may have no quorum left."""
    ask = engine.prober_inside()

    def trouble(service: Service) -> str:
        found = ask(service, _ASK_SECONDS)
        return "" if found.ok else found.detail

    services = engine.topology.services
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for service, why in zip(services, pool.map(trouble, services), strict=True):
            if why:
                yield msg("{name} is not ready ({why})", name=service.name, why=why)
