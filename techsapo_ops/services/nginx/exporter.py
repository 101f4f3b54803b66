"""The nginx exporter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.messages import msg
from techsapo_ops.services.exporter import Exporter, exporter_facts

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.topology import Topology


class NginxExporter(Exporter):
    """prometheus-nginx-exporter."""

    watches = "nginx"
    facts = exporter_facts(
        "nginx-exporter",
        msg("nginx exporter"),
        "nginx/nginx-prometheus-exporter:1.4.2",
        9113,
        watches=watches,
    )
    networks = ("metrics",)
    port_setting = "monitoring.exporters.nginx"
    has_wget = False

    @override
    def is_wanted(self, spec: Spec) -> bool:
        return spec.runs_nginx

    @override
    def arguments(self, topology: Topology, service: Service) -> tuple[str, ...]:
        from techsapo_ops.stack.address import Viewpoint

        address = topology.address(topology.beside(service, self.watches), Viewpoint.SERVICE)
        return (f"--nginx.scrape-uri={address.url('/nginx-status')}",)
