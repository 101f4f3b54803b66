"""Which service of a spec takes which port."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.spec.problems import Path


RAFT, GOSSIP = 2377, 7946
"""Ports of Swarm's managers, which every machine is, and of its gossip.
https://docs.docker.com/engine/swarm/swarm-tutorial/#open-protocols-and-ports-between-the-hosts"""
SENTINEL = 26379
"""Beside the Redis of each machine. https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/"""


def ports_of_machines(spec: Spec) -> Mapping[str, Sequence[int]]:
    """Ports of each of several machines that no field sets, by what listens there; none of one host."""
    return {"Sentinel": (SENTINEL,), "Docker Swarm": (RAFT, GOSSIP)} if spec.hosts else {}


_ANY = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared, not bound
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Taken:
    """A port that a service will listen on: its name for people, and where the spec says so."""

    path: Path
    name: str
    host: str
    port: int
    uses: tuple[Path, ...] = ()
    """Paths that decide whether the service runs at all."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two services on one port. `taken_path` is empty where no field sets the port of the other."""

    path: Path
    port: int
    taken_by: str
    taken_path: Path
    uses: tuple[Path, ...]


def taken_ports(spec: Spec) -> Iterator[Taken]:
    """Every port that the services of this spec listen on, defaults included."""
    app = spec.app
    for n, instance in enumerate(app.resolved_instances):
        path: Path = ("app", "instances", n, "port") if app.instances else ("app", "port")
        name = msg("the app's instance {n}", n=n + 1) if app.instances else msg("the app")
        yield Taken(path, name, app.host, instance.port, (("app", "host"),))
    if spec.redis.enabled:
        yield Taken(("redis", "port"), "Redis", spec.redis.host, spec.redis.port, (("redis",),))
    if spec.mysql is not None:
        yield Taken(("mysql", "port"), "MySQL", spec.mysql.host, spec.mysql.port, (("mysql",),))
    if spec.runs_nginx:
        uses: tuple[Path, ...] = (("nginx",), ("certificates",), ("app", "instances"))
        yield Taken(("nginx", "listen"), "nginx", spec.nginx.host, spec.nginx.listen, uses)
        if spec.served_certificate is not None:
            yield Taken(
                ("nginx", "tls_listen"), msg("nginx (HTTPS)"), spec.nginx.host, spec.nginx.tls_listen, uses
            )
    yield from _monitoring(spec)


def _monitoring(spec: Spec) -> Iterator[Taken]:
    monitoring = spec.monitoring
    for key, name, server in (
        ("prometheus", "Prometheus", monitoring.prometheus),
        ("alertmanager", "Alertmanager", monitoring.alertmanager),
        ("grafana", "Grafana", monitoring.grafana),
    ):
        if server.enabled:
            path: Path = ("monitoring", key)
            yield Taken(
                (*path, "port"), name, server.host, server.port, ((*path, "enabled"), (*path, "host"))
            )
    exporters = monitoring.exporters
    watched: tuple[tuple[str, str, int | None, tuple[Path, ...], bool], ...] = (
        ("node", msg("node exporter"), exporters.node, (), True),
        ("redis", msg("the Redis exporter"), exporters.redis, (("redis",),), spec.redis.enabled),
        ("mysqld", msg("the mysqld exporter"), exporters.mysqld, (("mysql",),), spec.mysql is not None),
        ("nginx", msg("the nginx exporter"), exporters.nginx, (("nginx",),), spec.runs_nginx),
        (
            "blackbox", msg("the blackbox exporter"), exporters.blackbox,
            (("monitoring", "prometheus", "enabled"),), monitoring.prometheus.enabled,
        ),
    )  # fmt: skip
    for key, name, port, uses, runs in watched:
        if port is not None and runs:
            yield Taken(("monitoring", "exporters", key), name, _LOOPBACK, port, uses)


def port_conflicts(spec: Spec, written: Callable[[Path], bool]) -> Iterator[Conflict]:
    """Pairs of services on one port, each told at the one of the two that the file gives (`written`)."""
    seen = [
        Taken((), name, "0.0.0.0", port, (("hosts",), ("engine",)))  # noqa: S104 - compared
        for name, ports in ports_of_machines(spec).items()
        for port in ports
    ]
    for late in taken_ports(spec):
        for early in seen:
            if early.port == late.port and _meet(early.host, late.host):
                here, there = (
                    (early, late)
                    if early.path and written(early.path) and not written(late.path)
                    else (late, early)
                )
                yield Conflict(here.path, here.port, there.name, there.path, (*early.uses, *late.uses))
                break
        seen.append(late)


def _meet(one: str, other: str) -> bool:
    plain = {one.replace("localhost", _LOOPBACK), other.replace("localhost", _LOOPBACK)}
    return len(plain) == 1 or bool(plain & _ANY)
