"""Which one of several services alike is worked on, where one does for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `techsapo backup --help` knows of kinds that are backed up, and reads no spec
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.stack import Stack


def first_reached(stack: Stack, kind: str) -> Service:
    """The first service of `kind` whose machine answers; the first, where none does or there is only one.

    Raises StopIteration where there is none at all.
    """
    services = stack.topology.of_kind(kind)
    first = next(iter(services))
    if len(services) == 1:
        return first
    return next((service for service in services if stack.engine.reaches(service.name)), first)
