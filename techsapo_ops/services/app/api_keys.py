"""Whose the file of API keys is: the app reads it, as its own user."""

from __future__ import annotations

import os
import pwd

from techsapo_ops.stack.topology import Topology


def keys_owner(topology: Topology) -> tuple[int, int] | None:
    """uid and gid of the app's user; None where that is the one at work, or only root could give it away."""
    services = topology.of_kind("app")
    if os.geteuid() != 0 or not services:
        return None
    service = services[0]
    if service.user is not None:
        entry = pwd.getpwnam(service.user)
        return entry.pw_uid, entry.pw_gid
    if topology.places.as_root(service, topology.host):
        return None
    return service.facts.uid, service.facts.uid
