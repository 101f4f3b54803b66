"""Containers of a stack that no command of the tool has started."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.messages import msg


def in_words(containers: Iterable[ContainerFacts], started: Collection[str]) -> tuple[str, ...]:
    """One sentence for each of `containers` that is of none of the services that were `started`."""
    return tuple(
        msg(
            "container {container} of this stack's project was not started by `techsapo up`: {reference}",
            container=container.name,
            reference=container.reference,
        )
        for container in containers
        if container.service not in started
    )
