"""Prometheus: metrics, recording rules and alert rules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from techsapo_ops.messages import msg
from techsapo_ops.services.monitor import Monitor
from techsapo_ops.stack.kind import HANG_UP, executable
from techsapo_ops.stack.service import Probe, ServiceFacts, Tool

if TYPE_CHECKING:
    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.desired import Program, RenderedFile
    from techsapo_ops.stack.service import Machine, Service
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology


class Prometheus(Monitor):
    """prometheus."""

    facts = ServiceFacts(
        kind="prometheus",
        title="Prometheus",
        binary="prometheus",
        package="prometheus",
        image="prom/prometheus:v3.5.0",
        port=9090,
        user="prometheus",
        uid=65534,
        data=True,
        container_data="/prometheus",
        probe=Probe("http", "/-/ready"),
        reload="HUP",
        metrics_path="/metrics",
        published=True,
    )
    comes_last = True  # what it scrapes is before it, so that its first round finds everything there
    reload_command = HANG_UP
    data_files = ("wal",)
    reads = ("prometheus/",)
    deadline = 90.0  # a write-ahead log to replay
    port_setting = "monitoring.prometheus.port"
    validator = Tool("promtool", "prometheus", msg("checks the generated Prometheus files"))

    def machines(self, every: Sequence[Machine]) -> Sequence[Machine]:
        """As many as may be lost, and one: each scrapes everything, and is lost with its samples.

        Whichever machines go on as a majority, one of them watches.
        """
        return every[: (len(every) + 1) // 2]

    def files(self, topology: Topology, templates: Templates) -> Iterable[RenderedFile]:
        """prometheus.yml and its rules."""
        from techsapo_ops.services.monitor import client_files
        from techsapo_ops.services.prometheus.scrape import prometheus_files

        return (*prometheus_files(topology, templates), *client_files(topology, self.name))

    def program(self, topology: Topology, service: Service) -> Program:
        """prometheus, on its port."""
        from techsapo_ops.stack.desired import Program

        config, storage, retention, *more = self._arguments(topology, service)
        listens = f"--web.listen-address={topology.listens(service)}"
        return Program(
            service.name,
            (executable(service), config, storage, retention, listens, *more),
            topology.data_dir(service),
            user=service.user,
            stop_seconds=30,
            reload_signal=service.facts.reload,
            config=self.reads,
        )

    def container(self, topology: Topology, service: Service) -> Container:
        """The same in its image."""
        from techsapo_ops.services.monitor import client_file
        from techsapo_ops.stack.container import Container

        port = service.facts.port
        return Container(
            command=tuple(self._arguments(topology, service)),
            port=port,
            healthcheck=(
                "promtool", "check", "ready", f"--url=http://127.0.0.1:{port}",
                *client_file(topology, self.name),
            ),
            config=("prometheus",),
            volume=service.facts.container_data,
            memory_mb=1024,
            stop_seconds=30,
            extra=_on_host(topology),
        )  # fmt: skip

    @staticmethod
    def _arguments(topology: Topology, service: Service) -> Iterable[str]:
        from techsapo_ops.services.monitor import web_arguments
        from techsapo_ops.services.prometheus.scrape import prometheus_yml
        from techsapo_ops.stack.address import Viewpoint

        settings = topology.spec.monitoring.prometheus
        yield f"--config.file={topology.config_dir() / prometheus_yml(service)}"
        yield f"--storage.tsdb.path={topology.data_dir(service)}"
        yield f"--storage.tsdb.retention.time={settings.retention}"
        yield f"--web.external-url={topology.address(service, Viewpoint.OUTSIDE).url('/')}"
        yield from web_arguments(topology, service.kind)
        yield "--enable-feature=exemplar-storage"  # else it drops the request ids that it scrapes
        if topology.spec.backup.prometheus:
            yield "--web.enable-admin-api"


def _on_host(topology: Topology) -> Mapping[str, Any]:
    """The names of what is scraped on the host's network, which no DNS of Docker's knows."""
    names = [f"{service.name}:host-gateway" for service in topology.services if service.facts.on_host]
    return {"extra_hosts": names} if names else {}
