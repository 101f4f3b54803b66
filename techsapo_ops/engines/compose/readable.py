"""Who may read secrets and keys: the user of each container what it alone is to read."""

from __future__ import annotations

from pathlib import Path

from techsapo_ops.adapters.files import let_read
from techsapo_ops.services.registry import facts as facts_of_kinds
from techsapo_ops.services.registry import kind_of
from techsapo_ops.services.runtime import runtime_of
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.own_tls import own_tls
from techsapo_ops.stack.topology import Topology

COMPOSE_FILES = "docker/"


def files(desired: Desired) -> None:
    """Let each container's user read what it alone is to read: secrets, keys, the certificates' keys."""
    topology, catalogue = desired.topology, facts_of_kinds()
    for file in desired.files:
        path = topology.layout.config / file.path
        if file.path.startswith(COMPOSE_FILES) and file.owner is not None and file.mode & 0o044 == 0:
            let_read(path, [catalogue[file.owner].uid])
    keys(topology)


def keys(topology: Topology) -> None:
    """Let the users of containers read the keys that the tool made for them, also new ones."""
    readers: dict[Path, set[int]] = {}
    for service in topology.services:
        made = kind_of(service).made_secrets(topology).values()
        for path in (*made, *runtime_of(service).readable(topology)):
            readers.setdefault(path, set()).add(service.facts.uid)
        if (tls := own_tls(topology, service)) is not None:
            readers.setdefault(tls.key, set()).add(service.facts.uid)
    for path, uids in readers.items():
        if path.exists():
            let_read(path, uids)
