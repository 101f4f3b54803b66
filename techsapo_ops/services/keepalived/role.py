"""Whether a host has the address of the front."""

from __future__ import annotations

from techsapo_ops.adapters.process import Command
from techsapo_ops.messages import msg
from techsapo_ops.services.keepalived.holder import SAYS
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology


def question(topology: Topology, service: Service) -> Command:  # noqa: ARG001 - alike on all hosts
    """What asks it, in its container."""
    return SAYS


def words(topology: Topology, said: str) -> str:
    """Its answer in words; "" for one that says nothing of it."""
    return {
        "MASTER": msg("has {address}", address=topology.spec.floating_address),
        "BACKUP": msg("ready to take {address}", address=topology.spec.floating_address),
        "FAULT": msg("may not have the address: nginx or the network of its host"),
    }.get(said.strip(), "")
