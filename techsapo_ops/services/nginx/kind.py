"""nginx: the load balancer in front of the app, and TLS."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from techsapo_ops.messages import msg
from techsapo_ops.services.nginx.balancing import COMPOSE_TLS_PORT, RESTART_SECONDS, SHUTDOWN_SECONDS
from techsapo_ops.stack.kind import Kind, Wanted, executable
from techsapo_ops.stack.service import Probe, ServiceFacts, Tool

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.address import Viewpoint
    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.desired import Program, RenderedFile
    from techsapo_ops.stack.places import Places
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology


class Nginx(Kind):
    """nginx."""

    facts = ServiceFacts(
        kind="nginx",
        title="nginx",
        binary="nginx",
        package="nginx",
        image="nginxinc/nginx-unprivileged:1.29-alpine",
        port=8080,
        user="www-data",
        uid=101,
        probe=Probe("http", "/nginx-health"),
        reload="HUP",
        needs=("app",),
        published=True,
        front=True,
    )
    networks = ("edge", "metrics")
    reads = ("nginx/",)
    retitled = "nginx: master process "
    reload_command = (
        "nginx", "-p", "/data", "-c", "/etc/techsapo/nginx/nginx.conf", "-e", "stderr", "-s", "reload",
    )  # fmt: skip
    looks_up = ("app",)
    port_setting = "nginx.listen"
    version_option = "-v"
    vital = True
    turns_away = True
    restart_seconds = RESTART_SECONDS
    balances = "app"
    serves_certificates = True
    validator = Tool("nginx", "nginx", msg("checks the generated nginx.conf"))

    def instances(self, spec: Spec, places: Places) -> Iterable[Wanted]:  # noqa: ARG002 - Kind's signature
        """One, where there is something to balance or to encrypt."""
        if spec.runs_nginx:
            yield Wanted(self.name, spec.nginx.host, spec.nginx.listen)

    def ports(self, topology: Topology, service: Service) -> Sequence[tuple[int, int]]:
        """Its own, and that of TLS where it serves a certificate."""
        own = (service.facts.port, service.port)
        if topology.spec.served_certificate is None:
            return (own,)
        return own, (COMPOSE_TLS_PORT, topology.spec.nginx.tls_listen)

    def url(self, topology: Topology, service: Service, viewpoint: Viewpoint | None = None) -> str:
        """For users by TLS where it serves a certificate."""
        from techsapo_ops.adapters.address import Address
        from techsapo_ops.stack.address import Viewpoint

        if viewpoint is not None or topology.spec.served_certificate is None:
            return super().url(topology, service, viewpoint)
        host = topology.address(service, Viewpoint.OUTSIDE).host
        return Address(host, topology.spec.nginx.tls_listen).url(scheme="https")

    def notes(self, topology: Topology) -> Iterable[str]:
        """Who signed its certificate."""
        spec, name = topology.spec, topology.spec.served_certificate
        if topology.has(self.name) and name is not None and spec.certificates[name].source != "files":
            yield msg("certificate {name}: signed by the stack's own CA, which no browser trusts", name=name)

    def files(self, topology: Topology, templates: Templates) -> Iterable[RenderedFile]:
        """nginx.conf."""
        from techsapo_ops.services.nginx.site import nginx_files

        return nginx_files(topology, templates)

    def program(self, topology: Topology, service: Service) -> Program:
        """nginx in the foreground.

        The master keeps root where it has it: it alone then reads private keys and binds ports below 1024,
        and its workers drop to the `user` that nginx.conf names.
        """
        from techsapo_ops.stack.desired import Program

        return Program(
            service.name,
            (executable(service), *_arguments(topology, service)),
            topology.data_dir(service),
            stop_signal="QUIT",
            stop_seconds=SHUTDOWN_SECONDS + 5,
            reload_signal=service.facts.reload,
            config=self.reads,
        )

    def container(self, topology: Topology, service: Service) -> Container:
        """The same; nothing of its data folder is kept."""
        from techsapo_ops.stack.container import Bind, Container, wget
        from techsapo_ops.stack.places import CONTAINER_CONFIG

        serves = topology.spec.served_certificate is not None
        return Container(
            command=_arguments(topology, service),
            port=service.facts.port,
            healthcheck=wget(service.facts.port, "/nginx-health"),
            config=("nginx",),
            binds=(Bind(topology.layout.certs, f"{CONTAINER_CONFIG}/certs"),) if serves else (),
            tmpfs=("/tmp", f"/data:uid={service.facts.uid},gid={service.facts.uid}"),  # noqa: S108 - its own
            stop_seconds=SHUTDOWN_SECONDS + 5,
            stop_signal="QUIT",
            # The image's own entry point wants to write below /etc.
            extra={"entrypoint": ["nginx"]},
        )


def _arguments(topology: Topology, service: Service) -> tuple[str, ...]:
    return (
        "-p", str(topology.data_dir(service)), "-c", str(topology.config_dir() / "nginx" / "nginx.conf"),
        "-e", "stderr", "-g", "daemon off;",
    )  # fmt: skip
