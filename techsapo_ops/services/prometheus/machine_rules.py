"""Recording rules that a stack on several machines has alone."""

from __future__ import annotations

from typing import Any

from techsapo_ops.catalogue.newest_copy import NEWEST_COPY, NEWEST_COPY_RULE
from techsapo_ops.catalogue.rules import FRONT_ADDRESS
from techsapo_ops.stack.topology import Topology


def machine_groups(topology: Topology) -> list[dict[str, Any]]:
    """Which host's copy of what jobs leave is the newest, and which hosts have the address that all share.

    Both are known by the hosts' node exporters.
    """
    if not topology.machines or not topology.has("node-exporter"):
        return []
    newest = {"record": NEWEST_COPY, "expr": NEWEST_COPY_RULE}
    groups = [{"name": "techsapo-textfiles", "rules": [newest]}]
    if topology.spec.floating_address is not None:
        address = topology.spec.floating_address.partition("/")[0]
        seen = f'node_network_address_info{{job="node-exporter",address="{address}"}}'
        held = {"record": FRONT_ADDRESS, "expr": f"max by (host, address) ({seen})"}
        groups.append({"name": "techsapo-front", "rules": [held]})
    return groups
