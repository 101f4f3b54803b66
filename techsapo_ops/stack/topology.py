"""Where everything is: which services a stack has, and their addresses, users and directories.

Resolved once, from the spec and what the host offers; `render` and the engines both read it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.address import Address, Viewpoint
from techsapo_ops.stack.facts import ServiceFacts, services
from techsapo_ops.stack.host import HostFacts
from techsapo_ops.stack.layout import SCHEDULER, Layout
from techsapo_ops.stack.places import CONTAINER_CONFIG, CONTAINER_SECRETS, EngineName, Places
from techsapo_ops.stack.service import Service


@dataclass(frozen=True, slots=True)
class Absent:
    """A part that the stack goes without, why, and what would bring it."""

    kind: str
    reason: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Topology:
    """Services, their addresses per viewpoint, and the directories of one stack."""

    places: Places
    layout: Layout
    host: HostFacts
    services: tuple[Service, ...]
    absent: tuple[Absent, ...]

    @property
    def engine(self) -> EngineName:
        """Name of the engine that runs it."""
        return self.places.name

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
        return self.places.publishes(service)

    def address(self, service: Service, viewpoint: Viewpoint) -> Address:
        """Where `service` is reached from `viewpoint`."""
        return self.places.address(service, viewpoint)

    def listens(self, service: Service) -> Address:
        """The address that `service` binds, where it runs."""
        return self.places.listens(service)

    def data_dir(self, service: Service) -> Path:
        """Data directory of `service`, as the service sees it."""
        return self.places.seen(self.layout.data / service.name, service.facts.container_data)

    def config_dir(self) -> Path:
        """Root of the generated configuration, as the services see it."""
        return self.places.seen(self.layout.config, CONTAINER_CONFIG)

    def secret_path(self, name: str) -> Path:
        """Path of the rendered secret `name`, as its service sees it."""
        return self.places.seen(self.layout.secrets / name, f"{CONTAINER_SECRETS}/{name}")

    def certificate_dir(self, name: str) -> Path:
        """Folder with fullchain.pem and privkey.pem of certificate `name`, as nginx sees it."""
        return self.places.seen(self.layout.certs / name, f"{CONTAINER_CONFIG}/certs/{name}")

    def redis_certificate_dir(self) -> Path:
        """Folder with fullchain.pem and privkey.pem of Redis, as Redis sees it."""
        return self.places.seen(self.layout.redis_certificate, f"{CONTAINER_CONFIG}/redis-tls")

    def redis_ca(self) -> Path:
        """The CA certificate that clients of Redis trust, as Redis and its clients in the stack see it."""
        return self.places.seen(self.layout.redis_ca, f"{CONTAINER_CONFIG}/redis-ca/ca.pem")

    def relocated(self, layout: Layout) -> Topology:
        """The same stack with other directories, e.g. for a staging area."""
        return replace(self, layout=layout)


@dataclass(frozen=True, slots=True)
class _Wanted:
    name: str
    kind: str
    host: str
    port: int
    weight: int = 1
    backup: bool = False


def _wanted(spec: Spec, places: Places) -> list[_Wanted]:
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
    if (
        SCHEDULER not in places.companions
        and spec.schedule.by == "service"
        and spec.schedule.docker_socket is not None
    ):
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


def resolve(spec: Spec, places: Places, layout: Layout, host: HostFacts) -> Topology:
    """Decide which services run, and where.

    The native engine leaves out what has no executable here, and with it whatever needs that part to
    make sense (an exporter without its server); each is listed in `absent`.
    """
    catalogue = services()
    wanted = _wanted(spec, places)
    absent: dict[str, Absent] = {}
    for kind in dict.fromkeys(w.kind for w in wanted):
        if places.lacks(catalogue[kind], host):
            absent[kind] = _absence(catalogue[kind], host)
    for watched in ("redis", "mysql", "nginx"):
        exporter = {"mysql": "mysqld-exporter"}.get(watched, f"{watched}-exporter")
        if watched in absent and any(w.kind == exporter for w in wanted) and exporter not in absent:
            absent[exporter] = Absent(exporter, f"nothing to watch without {watched}", absent[watched].remedy)
    present = [w for w in wanted if w.kind not in absent]
    names_by_kind: dict[str, list[str]] = {}
    for w in present:
        names_by_kind.setdefault(w.kind, []).append(w.name)
    running = []
    for w in present:
        facts = catalogue[w.kind]
        running.append(
            Service(
                name=w.name,
                kind=w.kind,
                host=w.host,
                port=w.port,
                facts=facts,
                binary=host.binaries.get(facts.binary) if facts.binary else None,
                user=places.user(facts, host),
                weight=w.weight,
                backup=w.backup,
                needs=tuple(n for kind in facts.needs for n in names_by_kind.get(kind, ())),
            )
        )
    return Topology(places, layout, host, tuple(running), tuple(absent.values()))
