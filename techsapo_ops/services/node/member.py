"""The node exporter of one of several machines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.services.node.kind import NodeExporter

if TYPE_CHECKING:
    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.topology import Topology


class NodeMember(NodeExporter):
    """node_exporter, which also says which of them has the address that moves."""

    @override
    def container(self, topology: Topology, service: Service) -> Container:
        alone = super().container(topology, service)
        return replace(alone, command=(*alone.command, "--collector.netdev.address-info"))


MEMBER = NodeMember()
