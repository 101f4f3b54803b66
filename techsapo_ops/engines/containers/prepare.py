"""What containers need of this host before any of them can start."""

from __future__ import annotations

from techsapo_ops.adapters.folders import keep_out_of_git, opened
from techsapo_ops.services.runtimes import runtime_of
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.topology import Topology


def folders(layout: Layout) -> None:
    """The folders that are mounted into containers; their users may pass through them, not write."""
    for path in (layout.state, layout.config, layout.textfiles, layout.certs):
        with opened(path, make=0o777):
            pass
    with opened(layout.keys, make=0o711):
        pass
    keep_out_of_git(layout.state)


def keys(topology: Topology) -> None:
    """The secrets that containers are given, made now where the spec has none. Raises OpsError."""
    for kind in dict.fromkeys(service.kind for service in topology.services):
        runtime_of(kind).make_keys(topology)
