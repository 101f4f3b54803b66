"""Whether a Sentinel and its peers could make another Redis the master."""

from __future__ import annotations

from techsapo_ops.adapters.process import Command
from techsapo_ops.messages import msg
from techsapo_ops.services.redis.member_role import client
from techsapo_ops.stack.role import Role
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology


def question(topology: Topology, service: Service) -> Command:
    """What asks it, in its container: SENTINEL CKQUORUM.

    https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/#sentinel-commands
    """
    return client(topology, service, "SENTINEL", "CKQUORUM", topology.spec.project)


def told(topology: Topology, said: str) -> Role:
    """What its answer says."""
    first, _, rest = said.strip().partition(" ")
    if first == "OK":
        count = rest.partition(" ")[0]
        return Role(msg("quorum: {count} of {all} Sentinels", count=count, all=len(topology.machines)))
    return Role(msg("no quorum: {said}", said=rest), wrong=True) if "NOQUORUM" in first else Role()
