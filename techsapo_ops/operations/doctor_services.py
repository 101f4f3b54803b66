"""What doctor hears from the services of a stack that runs."""

from __future__ import annotations

from collections.abc import Iterator

from techsapo_ops.services.registry import kinds
from techsapo_ops.services.runtimes import runtime_of
from techsapo_ops.stack.diagnosis import HostFinding
from techsapo_ops.stack.topology import Topology


def look_at_services(topology: Topology) -> Iterator[HostFinding]:
    """What each kind has to say; nothing where its services do not run."""
    for kind in kinds():
        if topology.has(kind.name):
            yield from runtime_of(kind.name).diagnosis(topology)
