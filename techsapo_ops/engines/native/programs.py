"""The units of a native stack, which are programs."""

from __future__ import annotations

from techsapo_ops.stack.desired import Desired, Program


def programs_of(desired: Desired) -> dict[str, Program]:
    """Each program by the name of its service, in the order of `desired`."""
    return {unit.service: unit for unit in desired.units if isinstance(unit, Program)}
