"""What a drill of several machines would take away, chosen before somebody is asked whether it may."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from techsapo_ops.engines.swarm.engine import SwarmEngine, swarm_of
from techsapo_ops.engines.swarm.front import holders
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.drills.cluster.faults import cutter
from techsapo_ops.operations.drills.cluster.whole import led, require_there
from techsapo_ops.operations.drills.report import ClusterDrill
from techsapo_ops.services.registry import kind_of, kinds
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.stack import Stack


@dataclass(frozen=True, slots=True)
class Taking:
    """What `drill` takes away: all of the machine `host`, or there the service `service`.

    `seconds` is how long it stays away; a service is started again by Swarm at once.
    """

    drill: ClusterDrill
    host: str
    service: str = ""
    seconds: int = 0

    @property
    def what(self) -> str:
        """Its name, as a person has it."""
        return self.service or self.host


def planned(stack: Stack, drill: ClusterDrill, host: str | None, seconds: int) -> Taking:
    """What the drill takes away of `host`; without, of where it costs most: see docs/drills.md.

    Raises OpsError for a stack of one host, a host that it has not, one that does not answer, a stack that
    does not run, and what can't be taken away.
    """
    engine = swarm_of(stack.engine)
    names = [machine.name for machine in engine.topology.machines]
    if host is not None and host not in names:
        raise unknown(msg("host"), host, names)
    require_there(engine)
    known, kind = led(stack), drill.removeprefix("failover-")
    if known is not None and known[0] == kind:
        leader = known[1].leader(stack)
        return Taking(drill, _machine(leader), leader.name)
    if kind in {each.name for each in kinds()}:
        on = host or front_host(engine) or names[0]
        found = next((s for s in stack.topology.of_kind(kind) if _machine(s) == on), None)
        if found is None:
            raise OpsError(
                msg("this stack has no {title}", title=kind_of(kind).facts.title),
                msg("`techsapo ps` shows what it has"),
                exit_code=2,
            )
        return Taking(drill, on, found.name)
    if drill == "failover-host":
        return Taking(drill, host or front_host(engine) or names[0], seconds=seconds)
    on = host or (_machine(known[1].leader(stack)) if known is not None else names[0])
    if on == socket.gethostname():
        raise OpsError(
            msg(
                "{host} is this very host: cut off, this command could neither watch nor end the drill",
                host=on,
            ),
            msg("run it on another host, or name one: `techsapo drill partition HOST`"),
            exit_code=2,
        )
    cutter(engine, on)
    return Taking(drill, on, seconds=seconds)


def front_host(engine: SwarmEngine) -> str:
    """The machine that has the front's address; "" where none says so."""
    return next(iter(holders(engine.topology, engine.fleet, engine.containers())), "")


def _machine(service: Service) -> str:
    assert service.machine is not None  # noqa: S101 - of a topology with machines
    return service.machine.name
