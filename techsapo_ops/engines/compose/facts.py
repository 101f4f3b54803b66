"""What Docker on this host offers to one stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from techsapo_ops.engines.choice import Image, names_of, present_or_base
from techsapo_ops.errors import OpsError

if TYPE_CHECKING:
    from techsapo_ops.engines.compose.recorded import ComposeStack


@dataclass(frozen=True, slots=True)
class DockerFacts:
    """`version` is the daemon's, None where none answers, `compose` the plugin's.

    `images` says of each image that the stack needs whether it is here, or what it is built from.
    `ports` are those of this host that lead into the stack's own containers.
    """

    version: str | None = None
    compose: str | None = None
    images: Mapping[str, bool] = field(default_factory=dict)
    ports: frozenset[int] = frozenset()
    trouble: str = ""


def docker_facts(stack: ComposeStack, images: Sequence[Image]) -> DockerFacts:
    """Ask the daemon for what a stack needs. Raises nothing for what it finds."""
    version = stack.docker.answers()
    if version is None:
        return DockerFacts()
    compose = stack.docker.compose_version()
    try:
        present = stack.docker.image_ids(names_of(images))
        containers = stack.containers()
    except OpsError as error:
        return DockerFacts(version, compose, trouble=error.message)
    here = {image.reference: present_or_base(image, present) for image in images}
    ports = frozenset(p.port for c in containers.values() if c.running for p in c.published)
    return DockerFacts(version, compose, here, ports)
