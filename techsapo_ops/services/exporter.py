"""What all exporters have in common: when there is one, and how it runs on its port."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.stack.kind import LOOPBACK, Kind, Wanted, executable
from techsapo_ops.stack.service_facts import Probe, ServiceFacts

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.desired import Program
    from techsapo_ops.stack.places import Places
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.topology import Topology


def exporter_facts(
    kind: str, title: str, image: str, port: int, *, path: str = "/", watches: str = ""
) -> ServiceFacts:
    """The facts of one of Debian's exporters; `path` answers where it is ready."""
    return ServiceFacts(
        kind=kind,
        title=title,
        binary=f"prometheus-{kind}",
        package=f"prometheus-{kind}",
        image=image,
        port=port,
        user="prometheus",
        uid=65534,
        probe=Probe("http", path),
        needs=(watches,) if watches else (),
        metrics_path="/metrics",
    )


class Exporter(Kind):
    """An exporter, on the port of its `port_setting`; null is none."""

    networks: tuple[str, ...] = ("data", "metrics")
    listens_by = "--web.listen-address"
    """The option that takes its address."""
    has_wget = True
    """Whether its image holds something to probe with."""
    environment: Mapping[str, str] = {}

    def is_wanted(self, spec: Spec) -> bool:  # noqa: ARG002 - most have an answer of their own
        """Whether there is something for it to watch."""
        return True

    def arguments(self, topology: Topology, service: Service) -> tuple[str, ...]:
        """What it is started with, besides its address."""
        raise NotImplementedError

    @override
    def instances(self, spec: Spec, places: Places) -> Iterable[Wanted]:
        port = getattr(spec.monitoring.exporters, self.port_setting.split(".")[2])
        if port is not None and self.is_wanted(spec):
            yield Wanted(self.name, LOOPBACK, port)

    @override
    def program(self, topology: Topology, service: Service) -> Program:
        from techsapo_ops.stack.desired import Program

        listens = f"{self.listens_by}={topology.listens(service)}"
        return Program(
            service.name,
            (executable(service), *self.arguments(topology, service), listens),
            topology.layout.run,
            environment=self.environment,
            user=service.user,
            reload_signal=service.facts.reload,
            config=(*self.reads, f"secrets/{self.name}"),
        )

    @override
    def container(self, topology: Topology, service: Service) -> Container:
        from techsapo_ops.stack.container import Container, wget

        return Container(
            command=self.arguments(topology, service),
            port=service.facts.port,
            healthcheck=wget(service.facts.port, service.facts.probe.path) if self.has_wget else (),
            environment=self.environment,
        )
