"""The nginx exporter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from techsapo_ops.messages import msg
from techsapo_ops.stack.kind import LOOPBACK, Kind, Wanted, executable
from techsapo_ops.stack.service_facts import Probe, ServiceFacts

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.desired import Program
    from techsapo_ops.stack.places import Places
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.topology import Topology


class NginxExporter(Kind):
    """prometheus-nginx-exporter."""

    facts = ServiceFacts(
        kind="nginx-exporter",
        title=msg("nginx exporter"),
        binary="prometheus-nginx-exporter",
        package="prometheus-nginx-exporter",
        image="nginx/nginx-prometheus-exporter:1.4.2",
        port=9113,
        user="prometheus",
        uid=65534,
        probe=Probe("http", "/"),
        needs=("nginx",),
        metrics_path="/metrics",
    )
    watches = "nginx"
    networks = ("metrics",)
    port_setting = "monitoring.exporters.nginx"

    def instances(self, spec: Spec, places: Places) -> Iterable[Wanted]:  # noqa: ARG002 - Kind's signature
        """One, where there is an nginx to watch."""
        port = spec.monitoring.exporters.nginx
        if port is not None and spec.runs_nginx:
            yield Wanted(self.name, LOOPBACK, port)

    def program(self, topology: Topology, service: Service) -> Program:
        """The exporter, on its port."""
        from techsapo_ops.stack.desired import Program

        listens = f"--web.listen-address={topology.listens(service)}"
        argv = (executable(service), _watched(topology, service), listens)
        return Program(service.name, argv, topology.layout.run, user=service.user)

    def container(self, topology: Topology, service: Service) -> Container:
        """The same; its image has nothing to probe with."""
        from techsapo_ops.stack.container import Container

        return Container(command=(_watched(topology, service),), port=service.facts.port)


def _watched(topology: Topology, service: Service) -> str:
    from techsapo_ops.stack.address import Viewpoint

    address = topology.address(topology.beside(service, "nginx"), Viewpoint.SERVICE)
    return f"--nginx.scrape-uri={address.url('/nginx-status')}"
