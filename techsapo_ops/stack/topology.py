"""Where everything is: which services a stack has, and their addresses, users and directories.

Resolved once, from the spec and what the host offers; `render` and the engines both read it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Literal

from techsapo_ops.adapters.address import Address, reachable_host
from techsapo_ops.adapters.host_facts import HostFacts
from techsapo_ops.catalogue.services import ServiceFacts, services
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.layout import SCHEDULER, Layout

EngineName = Literal["native", "compose"]

__all__ = [
    "Absent",
    "EngineName",
    "Layout",
    "Service",
    "Topology",
    "Viewpoint",
    "resolve",
]


PUBLISHED = frozenset({"app", "nginx", "prometheus", "alertmanager", "grafana"})
"""Kinds that have a port on this host with the compose engine; the others are private to the stack."""


class Viewpoint(StrEnum):
    """From where an address is looked at."""

    HOST = "host"
    """From a process of this host, such as the CLI."""
    SERVICE = "service"
    """From another service of the stack."""
    OUTSIDE = "outside"
    """From a user's browser."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service that runs: `app-2` is of kind `app`."""

    name: str
    kind: str
    host: str
    """Address it listens on, or is published on."""
    port: int
    """Port on the host."""
    facts: ServiceFacts
    binary: str | None = None
    user: str | None = None
    """System user it runs as; None: the user of the tool."""
    weight: int = 1
    backup: bool = False
    needs: tuple[str, ...] = ()
    """Names of the services that must be ready first."""


@dataclass(frozen=True, slots=True)
class Absent:
    """A part that the stack goes without, why, and what would bring it."""

    kind: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Topology:
    """Services, their addresses per viewpoint, and the directories of one stack."""

    engine: EngineName
    layout: Layout
    host: HostFacts
    services: tuple[Service, ...]
    absent: tuple[Absent, ...]

    def of_kind(self, kind: str) -> tuple[Service, ...]:
        """All services of one kind, in the spec's order."""
        return tuple(s for s in self.services if s.kind == kind)

    def find(self, name: str) -> Service | None:
        """The service of that name, or of that kind where it is the only one."""
        named = [s for s in self.services if s.name == name] or list(self.of_kind(name))
        return named[0] if len(named) == 1 else None

    def comes_after(self, service: Service) -> tuple[str, ...]:
        """Names of the services that are started before `service`, as far as the stack has them."""
        earlier = (s.name for s in self.services if s.kind in service.facts.after)
        return tuple(dict.fromkeys((*service.needs, *earlier)))

    def has(self, kind: str) -> bool:
        """Whether the stack runs any service of this kind."""
        return bool(self.of_kind(kind))

    def published(self, service: Service) -> bool:
        """Whether `service` can be reached from this host."""
        return self.engine == "native" or service.kind in PUBLISHED

    def address(self, service: Service, viewpoint: Viewpoint) -> Address:
        """Where `service` is reached from `viewpoint`."""
        if viewpoint is Viewpoint.SERVICE and self.engine == "compose":
            return Address(service.name, service.facts.port)
        if viewpoint is Viewpoint.OUTSIDE:
            return Address("localhost" if _local(service.host) else service.host, service.port)
        return Address(reachable_host(service.host), service.port)

    def data_dir(self, service: Service) -> Path:
        """Data directory of `service`, as the service sees it."""
        if self.engine == "compose":
            return Path(service.facts.container_data)
        return self.layout.data / service.name

    def config_dir(self) -> Path:
        """Root of the generated configuration, as the services see it."""
        return Path("/etc/techsapo") if self.engine == "compose" else self.layout.config

    def certificate_dir(self, name: str) -> Path:
        """Folder with fullchain.pem and privkey.pem of certificate `name`, as nginx sees it."""
        return (Path("/etc/techsapo/certs") if self.engine == "compose" else self.layout.certs) / name

    def redis_certificate_dir(self) -> Path:
        """Folder with fullchain.pem and privkey.pem of Redis, as Redis sees it."""
        return Path("/etc/techsapo/redis-tls") if self.engine == "compose" else self.layout.redis_certificate

    def redis_ca(self) -> Path:
        """The CA certificate that clients of Redis trust, as Redis and its clients in the stack see it."""
        return Path("/etc/techsapo/redis-ca/ca.pem") if self.engine == "compose" else self.layout.redis_ca

    def secret_path(self, name: str) -> Path:
        """Path of the rendered secret `name`, as its service sees it."""
        return (Path("/run/secrets") if self.engine == "compose" else self.layout.secrets) / name

    def relocated(self, layout: Layout) -> Topology:
        """The same stack with other directories, e.g. for a staging area."""
        return replace(self, layout=layout)


def _local(host: str) -> bool:
    return host in {"127.0.0.1", "0.0.0.0", "::", "::1", "localhost"}  # noqa: S104 - compared, not bound


@dataclass(frozen=True, slots=True)
class _Wanted:
    name: str
    kind: str
    host: str
    port: int
    weight: int = 1
    backup: bool = False


def _wanted(spec: Spec, engine: EngineName) -> list[_Wanted]:
    instances = spec.app.resolved_instances
    several = len(instances) > 1
    monitoring = spec.monitoring
    exporters = monitoring.exporters
    loopback = "127.0.0.1"
    wanted: list[_Wanted] = []
    if spec.redis.enabled:
        wanted.append(_Wanted("redis", "redis", spec.redis.host, spec.redis.port))
    if spec.mysql is not None:
        wanted.append(_Wanted("mysql", "mysql", spec.mysql.host, spec.mysql.port))
    wanted += [
        _Wanted(f"app-{n}" if several else "app", "app", spec.app.host, i.port, i.weight, i.backup)
        for n, i in enumerate(instances, 1)
    ]
    if spec.runs_nginx:
        port = spec.nginx.listen
        wanted.append(_Wanted("nginx", "nginx", spec.nginx.host, port))
    if monitoring.alertmanager.enabled:
        wanted.append(
            _Wanted(
                "alertmanager", "alertmanager", monitoring.alertmanager.host, monitoring.alertmanager.port
            )
        )
    if exporters.node.enabled:
        wanted.append(_Wanted("node-exporter", "node-exporter", loopback, exporters.node.port))
    if exporters.redis.enabled and spec.redis.enabled:
        wanted.append(_Wanted("redis-exporter", "redis-exporter", loopback, exporters.redis.port))
    if exporters.mysqld.enabled and spec.mysql is not None:
        wanted.append(_Wanted("mysqld-exporter", "mysqld-exporter", loopback, exporters.mysqld.port))
    if exporters.nginx.enabled and spec.runs_nginx:
        wanted.append(_Wanted("nginx-exporter", "nginx-exporter", loopback, exporters.nginx.port))
    if monitoring.prometheus.enabled:
        wanted.append(
            _Wanted("prometheus", "prometheus", monitoring.prometheus.host, monitoring.prometheus.port)
        )
    if monitoring.grafana.enabled:
        wanted.append(_Wanted("grafana", "grafana", monitoring.grafana.host, monitoring.grafana.port))
    if engine == "compose" and spec.schedule.by == "service" and spec.schedule.docker_socket is not None:
        wanted.append(_Wanted(SCHEDULER, SCHEDULER, loopback, 0))
    return wanted


def _absence(facts: ServiceFacts, host: HostFacts) -> Absent:
    if facts.package is None:
        remedy = f"install {facts.title} and run `techsapo up` again"
        if "docker" in host.binaries:
            remedy += ", or `techsapo up --engine compose`, whose image has it"
    else:
        remedy = f"`techsapo doctor --fix` (as root: apt-get install {facts.package})"
    return Absent(facts.kind, f"no {facts.binary} on PATH", remedy)


def resolve(spec: Spec, engine: EngineName, layout: Layout, host: HostFacts) -> Topology:
    """Decide which services run, and where.

    The native engine leaves out what has no executable here, and with it whatever needs that part to
    make sense (an exporter without its server); each is listed in `absent`.
    """
    catalogue = services()
    wanted = _wanted(spec, engine)
    absent: dict[str, Absent] = {}
    if engine == "native":
        for kind in dict.fromkeys(w.kind for w in wanted):
            facts = catalogue[kind]
            if facts.binary is not None and facts.binary not in host.binaries:
                absent[kind] = _absence(facts, host)
        for watched in ("redis", "mysql", "nginx"):
            exporter = {"mysql": "mysqld-exporter"}.get(watched, f"{watched}-exporter")
            if watched in absent and any(w.kind == exporter for w in wanted) and exporter not in absent:
                absent[exporter] = Absent(
                    exporter, f"nothing to watch without {watched}", absent[watched].remedy
                )
    present = [w for w in wanted if w.kind not in absent]
    names_by_kind: dict[str, list[str]] = {}
    for w in present:
        names_by_kind.setdefault(w.kind, []).append(w.name)
    running = []
    for w in present:
        facts = catalogue[w.kind]
        candidates = host.app_users if w.kind == "app" else host.users
        running.append(
            Service(
                name=w.name,
                kind=w.kind,
                host=w.host,
                port=w.port,
                facts=facts,
                binary=host.binaries.get(facts.binary) if facts.binary else None,
                user=facts.user if engine == "native" and host.root and facts.user in candidates else None,
                weight=w.weight,
                backup=w.backup,
                needs=tuple(n for kind in facts.needs for n in names_by_kind.get(kind, ())),
            )
        )
    return Topology(engine, layout, host, tuple(running), tuple(absent.values()))
