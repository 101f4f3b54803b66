"""Whether a host has the address of the front."""

from __future__ import annotations

from techsapo_ops.adapters.process import Command
from techsapo_ops.messages import msg
from techsapo_ops.services.keepalived.holder import SAYS
from techsapo_ops.stack.role import Role
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology


def question(topology: Topology, service: Service) -> Command:  # noqa: ARG001 - alike on all hosts
    """What asks it, in its container."""
    return SAYS


def told(topology: Topology, said: str) -> Role:
    """What its answer says."""
    address = topology.spec.floating_address
    fault = msg("may not have the address: nginx or the network of its host")
    return {
        "MASTER": Role(msg("has {address}", address=address), sole=True),
        "BACKUP": Role(msg("ready to take {address}", address=address), sole=False),
        "FAULT": Role(fault, wrong=True, sole=False),
    }.get(said.strip(), Role())
