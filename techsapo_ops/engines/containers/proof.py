"""What the containers of a stack really are, asked of Docker and not of Swarm or the tool's own notes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.messages import msg
from techsapo_ops.stack.desired import ContainerUnit
from techsapo_ops.stack.engine import Mismatch


def difference(unit: ContainerUnit, container: ContainerFacts | None, present: Mapping[str, str]) -> str:
    """How a container differs from its unit in state or image, in words; "" where it does not.

    `present` has the image ids by reference. A tag may have moved to another image since.
    """
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
    if present.get(unit.image, container.image) != container.image:
        return msg("its image {image} is another one now", image=unit.image)
    return ""


def strangers(containers: Iterable[ContainerFacts], started: Collection[str]) -> tuple[Mismatch, ...]:
    """One for each of `containers` that is of none of the services that were `started`."""
    return tuple(
        Mismatch(
            "",
            msg(
                "container {container} of this stack's project was not started by `techsapo up`: {reference}",
                container=container.name,
                reference=container.reference,
            ),
        )
        for container in containers
        if container.service not in started
    )
