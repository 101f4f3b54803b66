"""Grafana: dashboards."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.messages import msg
from techsapo_ops.services.monitor import Monitor
from techsapo_ops.stack.kind import executable
from techsapo_ops.stack.service import Probe, ServiceFacts

if TYPE_CHECKING:
    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.desired import Program, RenderedFile
    from techsapo_ops.stack.secrets import KeptSecret
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology

_SYSTEM_BIN = frozenset({Path("/bin"), Path("/usr/bin"), Path("/usr/sbin"), Path("/usr/local/bin")})


class Grafana(Monitor):
    """grafana-server."""

    facts = ServiceFacts(
        kind="grafana",
        title="Grafana",
        binary="grafana-server",
        image="grafana/grafana:12.2.0",
        port=3000,
        user="grafana",
        uid=472,
        data=True,
        container_data="/var/lib/grafana",
        probe=Probe("http", "/api/health"),
        needs=("prometheus",),
        metrics_path="/metrics",
        published=True,
    )
    # Not its dashboards: it looks for changed ones by itself.
    reads = ("grafana/grafana.ini", "grafana/provisioning/")
    secrets = ("monitoring.grafana",)
    data_files = ("grafana.db",)
    deadline = 90.0  # migrations of its database
    port_setting = "monitoring.grafana.port"

    def kept_secrets(self, topology: Topology) -> Iterable[KeptSecret]:
        """Its administrator's."""
        from techsapo_ops.services.grafana.provisioning import ADMIN, ADMIN_PASSWORD
        from techsapo_ops.stack.secrets import KeptSecret

        settings = topology.spec.monitoring.grafana
        yield KeptSecret(
            "grafana-admin", msg("Grafana, with all rights"), ("you",), ADMIN,
            given=settings.admin_password, setting=ADMIN_PASSWORD,
        )  # fmt: skip

    def files(self, topology: Topology, templates: Templates) -> Iterable[RenderedFile]:
        """grafana.ini, its provisioning and its dashboards."""
        from techsapo_ops.services.grafana.provisioning import grafana_files

        return grafana_files(topology, templates)

    def program(self, topology: Topology, service: Service) -> Program:
        """grafana-server on its grafana.ini."""
        from techsapo_ops.stack.desired import Program

        binary = Path(executable(service))
        # Debian-style packages put a wrapper into a bin folder of the system and the files into
        # /usr/share/grafana; a tarball has bin/ inside its home.
        home = Path("/usr/share/grafana") if binary.parent in _SYSTEM_BIN else binary.parent.parent
        config = topology.config_dir() / "grafana" / "grafana.ini"
        return Program(
            service.name,
            (str(binary), f"--homepath={home}", f"--config={config}"),
            topology.data_dir(service),
            user=service.user,
            stop_seconds=15,
            config=(*self.reads, "secrets/monitoring-grafana-"),
        )

    def container(self, topology: Topology, service: Service) -> Container:
        """The same; the image takes its places from its environment."""
        from techsapo_ops.stack.container import Container, wget

        config = topology.config_dir() / "grafana"
        return Container(
            command=(),
            port=service.facts.port,
            healthcheck=wget(service.facts.port, "/api/health"),
            environment={
                "GF_PATHS_CONFIG": str(config / "grafana.ini"),
                "GF_PATHS_PROVISIONING": str(config / "provisioning"),
                "GF_PATHS_DATA": service.facts.container_data,
            },
            config=("grafana",),
            volume=service.facts.container_data,
            memory_mb=512,
            pids=256,
            stop_seconds=15,
        )
