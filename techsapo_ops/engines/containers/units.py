"""The units of a stack of containers."""

from __future__ import annotations

from techsapo_ops.stack.desired import ContainerUnit, Desired


def containers_of(desired: Desired) -> dict[str, ContainerUnit]:
    """Each container by the name of its service, in the order of `desired`."""
    return {unit.service: unit for unit in desired.units if isinstance(unit, ContainerUnit)}
