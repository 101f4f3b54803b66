"""What Prometheus, Alertmanager and Grafana share: people open them, and most ask for a login."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.stack.kind import Kind, Wanted

if TYPE_CHECKING:
    from pathlib import Path

    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.places import Places
    from techsapo_ops.stack.secrets import KeptSecret
    from techsapo_ops.stack.service import Login
    from techsapo_ops.stack.topology import Topology


class Monitor(Kind):
    """A server of the monitoring with pages of its own, unless the spec turns it off."""

    monitors = True
    networks = ("edge", "metrics")

    @override
    def instances(self, spec: Spec, places: Places) -> Iterable[Wanted]:
        settings = getattr(spec.monitoring, self.name)
        if settings.enabled:
            yield Wanted(self.name, settings.host, settings.port)

    @override
    def login(self, topology: Topology) -> Login | None:
        from techsapo_ops.services.web_login import READERS, USER, password_file
        from techsapo_ops.stack.service import Login

        # One that is told to ask for none takes no notice of it.
        asks = self.name in READERS
        return Login(USER, password_file=password_file(topology.layout, self.name)) if asks else None

    @override
    def made_secrets(self, topology: Topology) -> Mapping[str, Path]:
        from techsapo_ops.services.web_login import given

        return given(topology, self.name)

    @override
    def kept_secrets(self, topology: Topology) -> Iterable[KeptSecret]:
        from techsapo_ops.services.web_login import kept_secrets

        return kept_secrets(topology, self.name, self.facts.title)

    @override
    def notes(self, topology: Topology) -> Iterable[str]:
        from techsapo_ops.services.web_login import note

        return note(topology, self.name, self.facts.title)
