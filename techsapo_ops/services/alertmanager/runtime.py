"""What an engine does of Alertmanager."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.services import web_login_files
from techsapo_ops.services.alertmanager import cluster, signing_files
from techsapo_ops.services.cluster_key import made_key
from techsapo_ops.services.runtime import Runtime

if TYPE_CHECKING:
    from techsapo_ops.stack.topology import Topology


class AlertmanagerRuntime(Runtime):
    """It asks for a login that is made here, and sends signed links."""

    @override
    def make_keys(self, topology: Topology) -> None:
        web_login_files.make(topology, "alertmanager")
        signing_files.make(topology)
        for path in cluster.given(topology).values():
            made_key(path, cluster.MEMBER)


RUNTIME = AlertmanagerRuntime()
