"""The steps of an apply on several machines: the one that has the front's address is changed last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.fleet import REACH_SECONDS, Fleet
from techsapo_ops.engines import planning
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.keepalived.runtime import SAYS
from techsapo_ops.services.keepalived.runtime import holders as asked
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.observed import Observed
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.step import Action, Plan, Step
from techsapo_ops.stack.topology import Topology

if TYPE_CHECKING:
    from techsapo_ops.engines.swarm.recorded import SwarmStack

_HARMLESS = (Action.NOTHING, Action.CREATE)
"""What users notice nothing of, in whatever order."""


def holders(topology: Topology, fleet: Fleet, known: Mapping[str, ContainerFacts]) -> tuple[str, ...]:
    """Names of the machines that say they have it, by keepalived in the containers `known`.

    All are asked at the same time; one that does not answer within REACH_SECONDS is passed over.
    """

    def ask(service: Service) -> str:
        container = known.get(service.name)
        if container is None or not container.running:
            return ""
        try:
            done = fleet.execute(container.id, SAYS, timeout=REACH_SECONDS)
        except OpsError:
            return ""
        return done.stdout.decode(errors="replace") if done.code == 0 else ""

    return asked(topology, ask)


def holder_last(
    steps: Sequence[Step], kinds: Mapping[str, str], machines: Mapping[str, str], holder: str
) -> tuple[Step, ...]:
    """`steps` in their order, but of each kind those on the machine `holder` after those on others.

    The address then moves once, to a machine that is done. `kinds` and `machines` are by service.
    """
    ordered: list[Step] = []
    for _, same in groupby(steps, lambda step: kinds.get(step.service, step.service)):
        ordered += sorted(same, key=lambda step: machines.get(step.service) == holder)
    return tuple(ordered)


def plan(stack: SwarmStack, desired: Desired, observed: Observed, only: Sequence[str]) -> Plan:
    """The steps to `desired`; none for what is on a machine that does not answer.

    Of each kind the machine with the front's address comes last.
    """
    planned = planning.plan(desired, observed, only)
    of = {s.name: s.machine.name for s in desired.topology.services}
    steps = tuple(
        replace(step, action=Action.NOTHING, reason=msg("{machine} can't be reached", machine=machine))
        if (machine := of.get(step.service, "")) in observed.unreachable
        else step
        for step in planned.steps
    )
    if any(step.action not in _HARMLESS for step in steps):
        kinds = {s.name: s.kind for s in desired.topology.services}
        for holder in holders(desired.topology, stack.fleet, stack.glance().containers):
            steps = holder_last(steps, kinds, of, holder)
    return Plan((*steps, *(() if only else _left_over(stack, desired, observed))))


def _left_over(stack: SwarmStack, desired: Desired, observed: Observed) -> Iterator[Step]:
    """Services that a command has made and not recorded, and that have no container to be seen by."""
    wanted = {service.name for service in desired.topology.services}
    try:
        there = stack.services()
    except OpsError:  # without a quorum nothing of this plan can be done
        return
    for name in sorted(there - wanted - set(observed.services)):
        yield Step(Action.REMOVE, name, msg("left behind by a command that was interrupted"))
