"""What the containers on each machine really are: asked of its Docker, not of Swarm or our own notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.engines.containers.strangers import in_words
from techsapo_ops.engines.containers.units import containers_of
from techsapo_ops.messages import msg
from techsapo_ops.stack.desired import ContainerUnit, Desired
from techsapo_ops.stack.engine import Mismatch

if TYPE_CHECKING:
    from techsapo_ops.engines.swarm.deployment import Deployment
    from techsapo_ops.engines.swarm.recorded import SwarmStack


def mismatches(
    stack: SwarmStack, desired: Desired, deployment: Deployment, services: Sequence[str]
) -> tuple[Mismatch, ...]:
    """How the containers of `services` differ from what would be deployed now."""
    glance = stack.glance()
    units = containers_of(desired)
    machines = {s.name: s.machine.name for s in desired.topology.services if s.machine is not None}
    found = []
    for name in services:
        machine = machines.get(name, "")
        if machine in stack.fleet.unreachable:
            why = stack.fleet.unreachable[machine]
            words = msg("{machine} can't be reached: {why}", machine=machine, why=why)
            found.append(Mismatch(name, words, answered=False))
            continue
        what = _differs(units[name], glance.containers.get(name), deployment.definition(name))
        what = what or _other_image(units[name], glance.containers[name], glance.images)
        if what:
            found.append(Mismatch(name, what, restart=True))
    return tuple(found)


def _differs(unit: ContainerUnit, container: ContainerFacts | None, definition: str) -> str:
    if container is None:
        return msg("it has no container")
    if not container.running:
        return msg("its container is {state}", state=container.state)
    if container.reference.partition("@")[0] != unit.image.partition("@")[0]:
        return msg(
            "it runs the image {reference} instead of {image}",
            reference=container.reference,
            image=unit.image,
        )
    if container.definition != definition:
        return msg("it was deployed with other settings, configs or secrets than the stack file has")
    return ""


def _other_image(unit: ContainerUnit, container: ContainerFacts, present: Mapping[str, str]) -> str:
    newest = present.get(unit.image, container.image)
    return "" if newest == container.image else msg("its image {image} is another one now", image=unit.image)


def strangers(stack: SwarmStack) -> tuple[str, ...]:
    """Containers of the stack that are no service of it."""
    return in_words(stack.glance().containers.values(), stack.state.load())
