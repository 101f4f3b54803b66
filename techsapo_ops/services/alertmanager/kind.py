"""Alertmanager: who is told of which alert."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from techsapo_ops.messages import msg
from techsapo_ops.services.monitor import Monitor
from techsapo_ops.stack.kind import HANG_UP, executable
from techsapo_ops.stack.service import Probe, ServiceFacts, Tool

if TYPE_CHECKING:
    from pathlib import Path

    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.desired import Program, RenderedFile
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology


class Alertmanager(Monitor):
    """alertmanager."""

    facts = ServiceFacts(
        kind="alertmanager",
        title="Alertmanager",
        binary="prometheus-alertmanager",
        package="prometheus-alertmanager",
        image="prom/alertmanager:v0.28.1",
        port=9093,
        user="prometheus",
        uid=65534,
        data=True,
        container_data="/alertmanager",
        probe=Probe("http", "/-/ready"),
        reload="HUP",
        metrics_path="/metrics",
        published=True,
    )
    reload_command = HANG_UP
    reads = ("alertmanager/",)
    secrets = ("notifications",)
    port_setting = "monitoring.alertmanager.port"
    validator = Tool("amtool", "prometheus-alertmanager", msg("checks the generated alertmanager.yml"))

    def files(self, topology: Topology, templates: Templates) -> Iterable[RenderedFile]:
        """alertmanager.yml and the texts of its notifications."""
        from techsapo_ops.services.alertmanager.cluster import start_files
        from techsapo_ops.services.alertmanager.configuration import alertmanager_files
        from techsapo_ops.services.web_login import client_files

        return (
            *alertmanager_files(topology, templates),
            *client_files(topology, self.name),
            *start_files(topology, templates),
        )

    def made_secrets(self, topology: Topology) -> Mapping[str, Path]:
        """Its login, and the signed links that it sends."""
        from techsapo_ops.services.alertmanager import cluster, signing

        own = super().made_secrets(topology)
        return {**own, **signing.given(topology, self.name), **cluster.given(topology)}

    def program(self, topology: Topology, service: Service) -> Program:
        """alertmanager, on its port and alone."""
        from techsapo_ops.stack.desired import Program

        config, storage, *more = _arguments(topology, service)
        listens = f"--web.listen-address={topology.listens(service)}"
        return Program(
            service.name,
            (executable(service), config, storage, listens, *more),
            topology.data_dir(service),
            user=service.user,
            reload_signal=service.facts.reload,
            config=(*self.reads, "secrets/notifications-"),
        )

    def container(self, topology: Topology, service: Service) -> Container:
        """The same in its image."""
        from techsapo_ops.services.alertmanager.cluster import entry_point
        from techsapo_ops.services.web_login import client_file
        from techsapo_ops.stack.container import Container

        port = service.facts.port
        return Container(
            command=_arguments(topology, service),
            port=port,
            healthcheck=(
                "amtool", f"--alertmanager.url=http://127.0.0.1:{port}", *client_file(topology, self.name),
                "config", "show",
            ),
            config=("alertmanager",),
            volume=service.facts.container_data,
            memory_mb=256,
            extra=entry_point(topology),
        )  # fmt: skip


def _arguments(topology: Topology, service: Service) -> tuple[str, ...]:
    from techsapo_ops.services.alertmanager.cluster import cluster_arguments
    from techsapo_ops.services.alertmanager.configuration import ALERTMANAGER_YML
    from techsapo_ops.services.web_login import web_arguments
    from techsapo_ops.stack.address import Viewpoint

    return (
        f"--config.file={topology.config_dir() / ALERTMANAGER_YML}",
        f"--storage.path={topology.data_dir(service)}",
        f"--web.external-url={topology.address(service, Viewpoint.OUTSIDE).url('/')}",
        *cluster_arguments(topology, service),
        # Else nobody could tell a beat that the watcher missed from a message that nobody got.
        "--enable-feature=receiver-name-in-metrics",
        *web_arguments(topology, service.kind),
    )
