"""node exporter: the host, and through its textfile collector the jobs, backups and certificates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.messages import msg
from techsapo_ops.services.exporters import Exporter, exporter_facts

if TYPE_CHECKING:
    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.desired import Program
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.topology import Topology

_UNITS = (
    "--collector.systemd",
    r"--collector.systemd.unit-include=.+\.(service|mount|swap|timer|socket|path)",
    # Its default leaves out mounts.
    "--collector.systemd.unit-exclude=",
)
"""What the exporter is told of units; Prometheus keeps those that failed (services/prometheus/scrape.py)."""
_USER = 10002
_TEXTFILES = "/textfile"
_HOST = "/host"


class NodeExporter(Exporter):
    """prometheus-node-exporter."""

    facts = replace(
        exporter_facts("node-exporter", msg("node exporter"), "prom/node-exporter:v1.9.1", 9100),
        data=True,
        on_host=True,
    )
    monitors = True
    networks = ()
    port_setting = "monitoring.exporters.node"

    @override
    def arguments(self, topology: Topology, service: Service) -> tuple[str, ...]:
        return (
            f"--collector.textfile.directory={topology.layout.textfiles}",
            # Debian's build turns it on: an error line a scrape where no systemd runs.
            *(_UNITS if tells_of_units(topology) else ("--no-collector.systemd",)),
        )

    @override
    def program(self, topology: Topology, service: Service) -> Program:
        return replace(super().program(topology, service), directory=topology.data_dir(service))

    @override
    def container(self, topology: Topology, service: Service) -> Container:
        """The same, with the host's network, file systems and processes to look at."""
        from techsapo_ops.stack.container import Bind, Container
        from techsapo_ops.stack.places import HOST_GATEWAY

        listens = topology.listens(service)
        return Container(
            command=(
                f"--web.listen-address={listens}",
                f"--path.rootfs={_HOST}",
                f"--path.procfs={_HOST}/proc",
                f"--path.sysfs={_HOST}/sys",
                f"--collector.textfile.directory={_TEXTFILES}",
            ),
            port=service.port,
            healthcheck=("wget", "-q", "-O", "/dev/null", listens.url("/")),
            binds=(
                # Jobs write here, the first of them perhaps later: an empty folder will do.
                Bind(topology.layout.textfiles, _TEXTFILES, create=True),
                Bind(Path("/"), _HOST, of_machine=True, follows=topology.host.shares_mounts),
            ),
            # The image's own user is that of others too, and here it would read their secrets below /host.
            # With a group: a user that the image does not know is in root's.
            extra={
                "pid": "host",
                "user": f"{_USER}:{_USER}",
                # In a network of its own it would report that network's traffic and connections.
                "network_mode": "host",
                "extra_hosts": [f"{HOST_GATEWAY}:host-gateway"],
            },
        )


def tells_of_units(topology: Topology) -> bool:
    """Whether the exporter looks at the units of systemd; a container is not given the host's D-Bus."""
    return topology.host.systemd and not topology.places.from_images
