"""The loss of a whole host of several: all that the stack runs there is killed, and nothing starts there.

No power cut: kernel, disk and Docker of the host go on. Root on it is not needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from techsapo_ops.backup.kinds import registry as data_kinds
from techsapo_ops.engines.swarm.engine import SwarmEngine, swarm_of
from techsapo_ops.engines.swarm.front import holders
from techsapo_ops.engines.swarm.nodes import nodes_of
from techsapo_ops.errors import OpsError
from techsapo_ops.hosts.drain import needed, node_named
from techsapo_ops.messages import joined, msg
from techsapo_ops.services.keepalived.kind import RUN
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.stack import Stack

_SECONDS = 30.0
_PROBE = 6.0
_LOOK_EVERY = 2.0
# keepalived says nothing any more, as with its host; one that is killed would leave the address there.
_DROP_ADDRESS = """
kill -STOP "$(cat {run}/vrrp.pid)"
ip -oneline address show | while read -r _ dev _ with _; do
  [ "$with" = "$1" ] && ip address delete "$with" dev "$dev"
done
true
"""


@dataclass(slots=True)
class LostHost:
    """All that the stack runs on the host `name`, for `seconds`; `front` had the address of the front."""

    stack: Stack
    name: str
    seconds: int
    front: str
    alone: bool = False

    def before(self) -> Iterator[str]:
        """Hosts that do not answer, quorums that would be lost, and what is not ready already."""
        engine = self._looked()
        if engine.fleet.unreachable:
            yield from _away(engine)
        else:
            yield from needed(engine, nodes_of(engine.fleet.manager), self.name)
            yield from _unready(self.stack)

    def strike(self) -> None:
        """Kill all containers of the stack there at once, and let Swarm start none.

        Raises OpsError where its Docker does not answer, or no Swarm manager does.
        """
        engine = swarm_of(self.stack.engine)
        member, manager = engine.fleet.members[self.name], engine.fleet.manager
        node = node_named(nodes_of(manager), self.name)
        running = [c for c in member.stack_containers(engine.project, timeout=_SECONDS) if c.running]
        if not running:
            raise OpsError(msg("nothing of the stack runs on {host}", host=self.name), msg("`techsapo up`"))
        keepalived = next((c for c in running if c.service == f"keepalived-{self.name}"), None)
        address = engine.topology.spec.floating_address
        if keepalived is not None and address is not None:
            script = _DROP_ADDRESS.format(run=RUN)
            member.attempt("exec", keepalived.id, "/bin/sh", "-c", script, "drill", address, timeout=_SECONDS)
        member.call("kill", *(container.id for container in running), timeout=_SECONDS)
        manager.call("node", "update", "--availability", "drain", node.id)

    def over(self, passed: float) -> bool:
        """Whether its time is over."""
        return passed >= self.seconds

    def put_back(self) -> str:
        """Let Swarm start there again what belongs there. Raises OpsError where no manager answers."""
        engine = self._looked()
        node = node_named(nodes_of(engine.fleet.manager), self.name)
        engine.fleet.manager.call("node", "update", "--availability", "active", node.id)
        return ""

    def missing(self) -> Sequence[str]:
        """What is not ready yet on any host."""
        self.stack.pause(_LOOK_EVERY)
        try:
            return tuple(_unready(self.stack))
        except OpsError as error:
            return (error.message,)

    def facts(self) -> dict[str, str]:
        """Which host it was, and where the address of the front went."""
        now = _front(self._looked())
        return {"killed": self.name, "address": self.front if now == self.front else f"{self.front} → {now}"}

    def _looked(self) -> SwarmEngine:
        """The engine, with its hosts as they are now."""
        engine = swarm_of(self.stack.engine)
        engine.forget()
        engine.containers()
        return engine


def chosen(stack: Stack, host: str | None, seconds: int) -> LostHost:
    """The host of that name; without, the one that has the front's address, or the first.

    Raises OpsError for a stack of one host, a host that it has not, one that does not answer, and a stack
    that does not run.
    """
    engine = swarm_of(stack.engine)
    names = [machine.name for machine in engine.topology.machines]
    if host is not None and host not in names:
        raise unknown(msg("host"), host, names)
    observed = engine.observe()
    observed.require_known()
    if engine.fleet.unreachable:
        raise OpsError(
            msg("the drill was not begun: {reasons}", reasons=joined("; ", tuple(_away(engine)))),
            msg("{look}, then again", look="`techsapo hosts check`"),
        )
    if not observed.running:
        raise OpsError(msg("the stack is not running"), msg("`techsapo up` starts it"))
    front = _front(engine)
    return LostHost(stack, host or (front if front != "-" else names[0]), seconds, front)


def _front(engine: SwarmEngine) -> str:
    """The host that has the front's address; "-" where none says so."""
    return next(iter(holders(engine.topology, engine.fleet, engine.containers())), "-")


def _away(engine: SwarmEngine) -> Iterator[str]:
    for name, why in engine.fleet.unreachable.items():
        yield msg("{machine} can't be reached: {why}", machine=name, why=why)


def _unready(stack: Stack) -> Iterator[str]:
    """Services that do not answer, then databases whose members do not see each other."""
    engine = swarm_of(stack.engine)
    engine.forget()
    ask, services = engine.prober_inside(), engine.topology.services

    def trouble(service: Service) -> str:
        probed = ask(service, _PROBE)
        return "" if probed.ok else probed.detail

    ready = True
    with ThreadPoolExecutor(8) as pool:
        for service, why in zip(services, pool.map(trouble, services), strict=True):
            if why:
                ready = False
                yield msg("{name} is not ready ({why})", name=service.name, why=why)
    if ready:
        for kind in data_kinds.kinds():
            yield from kind.missing(stack)
