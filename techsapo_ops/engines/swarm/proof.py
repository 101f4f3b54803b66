"""What the containers on each machine really are: asked of its Docker, not of Swarm or our own notes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from techsapo_ops.engines.containers.proof import difference
from techsapo_ops.messages import msg
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.engine import Mismatch

if TYPE_CHECKING:
    from techsapo_ops.engines.swarm.deployment import Deployment
    from techsapo_ops.engines.swarm.recorded import SwarmStack


def mismatches(
    stack: SwarmStack, desired: Desired, deployment: Deployment, services: Sequence[str]
) -> tuple[Mismatch, ...]:
    """How the containers of `services` differ from what would be deployed now."""
    glance = stack.glance()
    units = desired.containers
    machines = {s.name: s.machine.name for s in desired.topology.services}
    found = []
    for name in services:
        machine = machines.get(name, "")
        if machine in stack.fleet.unreachable:
            why = stack.fleet.unreachable[machine]
            words = msg("{machine} can't be reached: {why}", machine=machine, why=why)
            found.append(Mismatch(name, words, answered=False))
            continue
        container = glance.containers.get(name)
        what = difference(units[name], container, glance.images)
        if not what and container is not None and container.definition != deployment.definition(name):
            what = msg("it was deployed with other settings, configs or secrets than the stack file has")
        if what:
            found.append(Mismatch(name, what, restart=True))
    return tuple(found)
