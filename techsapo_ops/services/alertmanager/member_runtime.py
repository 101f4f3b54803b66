"""What an engine does of an Alertmanager of several."""

from __future__ import annotations

from typing_extensions import override

from techsapo_ops.services.alertmanager import cluster
from techsapo_ops.services.alertmanager.runtime import AlertmanagerRuntime
from techsapo_ops.services.cluster_key import made_key
from techsapo_ops.stack.topology import Topology


class MemberRuntime(AlertmanagerRuntime):
    """As alone, with the key by which they know each other."""

    @override
    def make_keys(self, topology: Topology) -> None:
        super().make_keys(topology)
        made_key(topology.layout.keys / cluster.KEY, cluster.MEMBER)


RUNTIME = MemberRuntime()
