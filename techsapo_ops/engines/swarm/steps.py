"""The steps of an apply on several machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from techsapo_ops.engines import planning
from techsapo_ops.engines.swarm import front
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.observed import Observed
from techsapo_ops.stack.step import Action, Plan, Step

if TYPE_CHECKING:
    from techsapo_ops.engines.swarm.recorded import SwarmStack


def plan(stack: SwarmStack, desired: Desired, observed: Observed, only: Sequence[str]) -> Plan:
    """The steps to `desired`; none for what is on a machine that does not answer.

    Of each kind the machine with the front's address comes last.
    """
    found = planning.plan(desired, observed, only)
    of = {s.name: s.machine.name for s in desired.topology.services if s.machine is not None}
    steps = tuple(
        replace(step, action=Action.NOTHING, reason=msg("{machine} can't be reached", machine=machine))
        if (machine := of.get(step.service, "")) in observed.unreachable
        else step
        for step in found.steps
    )
    if front.disturbs(steps):
        kinds = {s.name: s.kind for s in desired.topology.services}
        for holder in front.holders(desired.topology, stack.fleet, stack.glance().containers):
            steps = front.holder_last(steps, kinds, of, holder)
    return Plan((*steps, *(() if only else _left_over(stack, desired, observed))))


def _left_over(stack: SwarmStack, desired: Desired, observed: Observed) -> Iterator[Step]:
    """Services that a command has made and not recorded, and that have no container to be seen by."""
    wanted = {service.name for service in desired.topology.services}
    try:
        there = stack.services()
    except OpsError:  # without a quorum nothing of this plan can be done
        return
    for name in sorted(there - wanted - set(observed.services)):
        yield Step(Action.REMOVE, name, msg("a command that was cut short has left it"))
