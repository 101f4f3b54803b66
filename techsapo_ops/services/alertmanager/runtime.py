"""What is done with Alertmanager: its keys, and what it has loaded."""

from __future__ import annotations

from collections.abc import Mapping

from typing_extensions import override

from techsapo_ops.adapters.alertmanager import Alertmanager
from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.services.alertmanager.kind import CLUSTER_MEMBER, cluster_secret
from techsapo_ops.services.loaded_configuration import TIMEOUT, Loaded, Server, lacking
from techsapo_ops.services.runtime import Runtime
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.topology import Topology


def make_signatures(topology: Topology) -> None:
    """The key, the app's copy, and the signatures for Alertmanager, made where they are missing or others.

    Changed in place, as the files of a login are: a container has them mounted by themselves.
    """
    from techsapo_ops.services.alertmanager.signing import (
        are_signatures,
        key_file,
        key_of_app,
        signatures,
        signatures_file,
        signs,
    )  # fmt: skip
    from techsapo_ops.services.made_secrets import keep, made_once, user_of
    from techsapo_ops.services.prometheus.alert_rules import alerts_of

    if not signs(topology):
        return
    layout = topology.layout
    key = made_once(key_file(layout), None).reveal()
    keep(key_of_app(layout), key, user_of(topology, "app"), mounted=True)
    known = list(alerts_of(topology.spec))
    of = key.encode(), topology.spec.project, known
    file = signatures_file(layout)
    text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
    text = text if are_signatures(text, *of) else signatures(*of)
    keep(file, text, user_of(topology, "alertmanager"), mounted=True)


def make_alerts_key(topology: Topology) -> None:
    """The key by which Alertmanager tells the app of alerts, and a copy for each of the two."""
    from techsapo_ops.services.alertmanager.investigating import copy_for, investigates, key_file
    from techsapo_ops.services.made_secrets import keep, made_once, user_of

    if investigates(topology):
        key = made_once(key_file(topology.layout), None).reveal()
        for reader in ("app", "alertmanager"):
            keep(copy_for(topology.layout, reader), key, user_of(topology, reader), mounted=True)


def _differs(server: Server, prefix: str, files: Mapping[str, RenderedFile]) -> str:
    from techsapo_ops.services.alertmanager.configuration import ALERTMANAGER_YML

    file = files[prefix + ALERTMANAGER_YML]
    what = lacking(read_yaml(file.content), read_yaml(_client(server).status().config))
    # With receivers passed through, a value may be a secret.
    return what.partition(" is ")[0] + " differs" if what and file.secret else what


def _client(server: Server) -> Alertmanager:
    return Alertmanager(server.url, timeout=TIMEOUT, login=server.login)


class AlertmanagerRuntime(Runtime):
    """It asks for a login that is made here, sends signed links, and tells the app of alerts."""

    loaded = Loaded(_differs, lambda server: _client(server).reloaded())

    @override
    def make_keys(self, topology: Topology) -> None:
        from techsapo_ops.services.made_secrets import made_key, make_login

        make_login(topology, "alertmanager")
        make_alerts_key(topology)
        make_signatures(topology)
        for path in cluster_secret(topology).values():
            made_key(path, CLUSTER_MEMBER)


RUNTIME = AlertmanagerRuntime()
