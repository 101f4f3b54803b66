"""Where nginx speaks TLS."""

from __future__ import annotations

from techsapo_ops.adapters.address import Address
from techsapo_ops.services.nginx.kind import Nginx
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.topology import Topology


def tls_address(topology: Topology) -> Address | None:
    """Where this host reaches the stack's nginx by TLS; None for a stack without nginx."""
    service = topology.find(Nginx.facts.kind)
    if service is None:
        return None
    return Address(topology.address(service, Viewpoint.HOST).host, topology.spec.nginx.tls_listen)
