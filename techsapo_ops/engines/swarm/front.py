"""Which machines have the front's address, and why the one that has it is changed last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from techsapo_ops.adapters.container_facts import ContainerFacts
from techsapo_ops.adapters.fleet import REACH_SECONDS, Fleet
from techsapo_ops.errors import OpsError
from techsapo_ops.services.keepalived.holder import SAYS
from techsapo_ops.services.keepalived.holder import holders as asked
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.step import Action, Step
from techsapo_ops.stack.topology import Topology

_HARMLESS = (Action.NOTHING, Action.CREATE)


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


def disturbs(steps: Sequence[Step]) -> bool:
    """Whether any of them changes what runs, so that their order matters to users."""
    return any(step.action not in _HARMLESS for step in steps)


def holder_last(
    steps: Sequence[Step], kinds: Mapping[str, str], machines: Mapping[str, str], holder: str
) -> tuple[Step, ...]:
    """`steps` in their order, but of each kind those on the machine `holder` after those on others.

    The address then moves once, to a machine that is done. `kinds` and `machines` are by service.
    """
    found: list[Step] = []
    for _, same in groupby(steps, lambda step: kinds.get(step.service, step.service)):
        found += sorted(same, key=lambda step: machines.get(step.service) == holder)
    return tuple(found)
