"""The blackbox exporter: asks the stack's front as its users do, and what else the spec names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.messages import msg
from techsapo_ops.services.exporters import Exporter, exporter_facts
from techsapo_ops.stack.service import Tool

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.desired import RenderedFile
    from techsapo_ops.stack.kind import Wanted
    from techsapo_ops.stack.places import Places
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology


class BlackboxExporter(Exporter):
    """prometheus-blackbox-exporter, wherever there is a Prometheus."""

    # The image's own user is root, who alone may ping; nothing here does.
    facts = replace(
        exporter_facts(
            "blackbox-exporter",
            msg("blackbox exporter"),
            "prom/blackbox-exporter:v0.27.0",
            9115,
            path="/-/healthy",
        ),
        reload="HUP",
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

    @override
    def instances(self, spec: Spec, places: Places) -> Iterable[Wanted]:
        return super().instances(spec, places) if spec.monitoring.is_probed else ()

    @override
    def files(self, topology: Topology, templates: Templates) -> Iterable[RenderedFile]:
        from techsapo_ops.services.blackbox.configuration import blackbox_files

        return blackbox_files(topology, templates)

    @override
    def arguments(self, topology: Topology, service: Service) -> tuple[str, ...]:
        from techsapo_ops.services.blackbox.configuration import BLACKBOX_YML

        # Its log names the probes that failed and why; each of the others would be nine lines there.
        return (
            f"--config.file={topology.config_dir() / BLACKBOX_YML}",
            "--history.limit=20",
            "--log.prober=error",
        )

    @override
    def container(self, topology: Topology, service: Service) -> Container:
        """The same, with the certificates that it is to know."""
        from techsapo_ops.services.blackbox.trust import binds

        alone = super().container(topology, service)
        return replace(alone, config=("blackbox",), binds=tuple(binds(topology)))
