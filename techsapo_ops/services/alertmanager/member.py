"""Alertmanager as one of several, which tell each other what they sent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from techsapo_ops.services.alertmanager.kind import Alertmanager

if TYPE_CHECKING:
    from pathlib import Path

    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.desired import RenderedFile
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology


class AlertmanagerMember(Alertmanager):
    """alertmanager, started by the script that finds its own address."""

    def files(self, topology: Topology, templates: Templates) -> Iterable[RenderedFile]:
        """The same, the script, and how they know each other."""
        from techsapo_ops.services.alertmanager.cluster import start_files

        return (*super().files(topology, templates), *start_files(topology, templates))

    def made_secrets(self, topology: Topology) -> Mapping[str, Path]:
        """Also that by which each is one of them."""
        from techsapo_ops.services.alertmanager.cluster import KEY

        return {**super().made_secrets(topology), KEY: topology.layout.keys / KEY}

    def container(self, topology: Topology, service: Service) -> Container:
        """The same, started by the script."""
        from techsapo_ops.services.alertmanager.cluster import START

        entry = {"entrypoint": ["sh", str(topology.config_dir() / START)]}
        return replace(super().container(topology, service), extra=entry)


MEMBER = AlertmanagerMember()
