"""Ports of a stack on several machines that no field of the spec sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec

RAFT, GOSSIP = 2377, 7946
"""Ports of Swarm's managers, which every machine is, and of its gossip.
https://docs.docker.com/engine/swarm/swarm-tutorial/#open-protocols-and-ports-between-the-hosts"""
SENTINEL = 26379
"""Beside the Redis of each machine. https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/"""


def ports_of_machines(spec: Spec) -> Mapping[str, Sequence[int]]:
    """Ports of each of several machines that no field sets, by what listens there; none of one host."""
    return {"Sentinel": (SENTINEL,), "Docker Swarm": (RAFT, GOSSIP)} if spec.hosts else {}
