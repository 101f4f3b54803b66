"""What an engine does of Alertmanager."""

from __future__ import annotations

from typing_extensions import override

from techsapo_ops.services import web_login_files
from techsapo_ops.services.alertmanager import cluster
from techsapo_ops.services.alertmanager.signing import (
    key_file,
    key_of_app,
    signatures,
    signatures_file,
    signs,
)
from techsapo_ops.services.cluster_key import made_key
from techsapo_ops.services.made_once import made_once
from techsapo_ops.services.prometheus.alert_rules import alerts_of
from techsapo_ops.services.runtime import Runtime
from techsapo_ops.services.web_login_files import keep, user_of
from techsapo_ops.stack.topology import Topology


def make_signatures(topology: Topology) -> None:
    """The key, the app's copy, and the signatures for Alertmanager, made where they are missing or others.

    Changed in place, as the files of a login are: a container has them mounted by themselves.
    """
    if not signs(topology):
        return
    layout = topology.layout
    key = made_once(key_file(layout), None).reveal()
    keep(key_of_app(layout), key, user_of(topology, "app"))
    known = list(alerts_of(topology.spec))
    text = signatures(key.encode(), topology.spec.project, known)
    keep(signatures_file(layout), text, user_of(topology, "alertmanager"))


class AlertmanagerRuntime(Runtime):
    """It asks for a login that is made here, and sends signed links."""

    @override
    def make_keys(self, topology: Topology) -> None:
        web_login_files.make(topology, "alertmanager")
        make_signatures(topology)
        for path in cluster.given(topology).values():
            made_key(path, cluster.MEMBER)


RUNTIME = AlertmanagerRuntime()
