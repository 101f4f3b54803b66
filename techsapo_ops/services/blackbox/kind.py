"""The blackbox exporter: asks the stack's front as its users do, and what else the spec names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from techsapo_ops.messages import msg
from techsapo_ops.stack.kind import LOOPBACK, Kind, Wanted, executable
from techsapo_ops.stack.service_facts import Probe, ServiceFacts
from techsapo_ops.stack.tool import Tool

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.desired import Program, RenderedFile
    from techsapo_ops.stack.places import Places
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology


class BlackboxExporter(Kind):
    """prometheus-blackbox-exporter."""

    facts = ServiceFacts(
        kind="blackbox-exporter",
        title=msg("blackbox exporter"),
        binary="prometheus-blackbox-exporter",
        package="prometheus-blackbox-exporter",
        image="prom/blackbox-exporter:v0.27.0",
        port=9115,
        user="prometheus",
        # The image's own user is root, who alone may ping; nothing here does.
        uid=65534,
        probe=Probe("http", "/-/healthy"),
        reload="HUP",
        metrics_path="/metrics",
    )
    monitors = True
    networks = ("edge", "metrics")
    # No reload in a container: from the host nobody could ask it whether it took its configuration over.
    reads = ("blackbox/",)
    port_setting = "monitoring.exporters.blackbox"
    validator = Tool(
        "prometheus-blackbox-exporter",
        "prometheus-blackbox-exporter",
        msg("checks the generated blackbox.yml"),
        in_image="blackbox_exporter",
    )

    def instances(self, spec: Spec, places: Places) -> Iterable[Wanted]:  # noqa: ARG002 - Kind's signature
        """One, wherever there is a Prometheus."""
        port = spec.monitoring.exporters.blackbox
        if port is not None and spec.monitoring.is_probed:
            yield Wanted(self.name, LOOPBACK, port)

    def files(self, topology: Topology, templates: Templates) -> Iterable[RenderedFile]:
        """blackbox.yml."""
        from techsapo_ops.services.blackbox.configuration import blackbox_files

        return blackbox_files(topology, templates)

    def program(self, topology: Topology, service: Service) -> Program:
        """The exporter, on its port."""
        from techsapo_ops.stack.desired import Program

        return Program(
            service.name,
            (executable(service), *_arguments(topology), f"--web.listen-address={topology.listens(service)}"),
            topology.layout.run,
            user=service.user,
            reload_signal=service.facts.reload,
            config=self.reads,
        )

    def container(self, topology: Topology, service: Service) -> Container:
        """The same in its image, with the certificates that it is to know."""
        from techsapo_ops.services.blackbox.trust import binds
        from techsapo_ops.stack.container import Container, wget

        return Container(
            command=_arguments(topology),
            port=service.facts.port,
            healthcheck=wget(service.facts.port, "/-/healthy"),
            config=("blackbox",),
            binds=tuple(binds(topology)),
        )


def _arguments(topology: Topology) -> tuple[str, ...]:
    from techsapo_ops.services.blackbox.configuration import BLACKBOX_YML

    # Its log names the probes that failed and why; each of the others would be nine lines there.
    return (
        f"--config.file={topology.config_dir() / BLACKBOX_YML}",
        "--history.limit=20",
        "--log.prober=error",
    )
