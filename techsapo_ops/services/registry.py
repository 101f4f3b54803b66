"""The kinds of services, in the order in which they are started, and what a spec comes to with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.alertmanager.kind import Alertmanager
from techsapo_ops.services.app.kind import App
from techsapo_ops.services.blackbox.kind import BlackboxExporter
from techsapo_ops.services.exporters import MysqldExporter, NginxExporter, RedisExporter
from techsapo_ops.services.grafana.kind import Grafana
from techsapo_ops.services.keepalived.kind import Keepalived
from techsapo_ops.services.mysql.kind import Mysql
from techsapo_ops.services.nginx.kind import Nginx
from techsapo_ops.services.node.kind import NodeExporter
from techsapo_ops.services.prometheus.kind import Prometheus
from techsapo_ops.services.redis.kind import Redis
from techsapo_ops.services.redis.sentinel import Sentinel
from techsapo_ops.services.scheduler.kind import Scheduler
from techsapo_ops.stack.kind import Kind
from techsapo_ops.stack.service import HERE, Service, ServiceFacts
from techsapo_ops.stack.topology import Absent, Topology

if TYPE_CHECKING:
    from techsapo_ops.adapters.host_facts import HostFacts
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.desired import Program
    from techsapo_ops.stack.layout import Layout
    from techsapo_ops.stack.places import Places

_KINDS: list[Kind] = [
    Sentinel(),  # a Redis of several asks them what it is, before it starts
    Redis(),
    Mysql(),
    App(),
    Nginx(),
    Keepalived(),
    Alertmanager(),
    NodeExporter(),
    RedisExporter(),
    MysqldExporter(),
    NginxExporter(),
    BlackboxExporter(),
    Prometheus(),
    Grafana(),
    Scheduler(),
]


def kinds() -> tuple[Kind, ...]:
    """Every kind, in the order in which services are started where they do not need each other."""
    return tuple(_KINDS)


def kind_of(service: Service | str) -> Kind:
    """The kind of a service, as it is where that runs, or that of a name. Raises OpsError for one that there
    is not.
    """
    if not isinstance(service, str):
        alone = kind_of(service.kind)
        return alone if service.machine == HERE else alone.member
    name = service
    for kind in _KINDS:
        if kind.name == name:
            return kind
    raise OpsError(
        msg("there is no kind of service {name}", name=name),
        msg("kinds of services: {kinds}", kinds=", ".join(k.name for k in _KINDS)),
    )


def kinds_in(topology: Topology) -> tuple[Kind, ...]:
    """The kinds that a stack has services of, in their order, each as it is there."""
    return tuple({service.kind: kind_of(service) for service in topology.services}.values())


def _facts(kind: Kind) -> ServiceFacts:
    if not kind.comes_last:
        return kind.facts
    earlier = tuple(other.name for other in _KINDS[: _KINDS.index(kind)])
    return replace(kind.facts, after=tuple(dict.fromkeys((*kind.facts.after, *earlier))))


def facts() -> Mapping[str, ServiceFacts]:
    """What each kind is, by its name."""
    return {kind.name: kind.facts for kind in _KINDS}


def binary_names() -> tuple[str, ...]:
    """Executables that some kind runs as, or that the tool runs for one."""
    servers = (kind.facts.binary for kind in _KINDS if kind.facts.binary is not None)
    validators = (kind.validator.name for kind in _KINDS if kind.validator is not None)
    programs = (program for kind in _KINDS for program in kind.programs)
    return tuple(dict.fromkeys((*servers, *validators, *programs)))


def service_users() -> tuple[str, ...]:
    """System users that some kind runs as where root starts it, each once."""
    natively = (kind.facts for kind in _KINDS if kind.facts.binary is not None or kind.facts.runs_package)
    return tuple(dict.fromkeys(facts.user for facts in natively))


@contextmanager
def including(kind: Kind) -> Iterator[None]:
    """`kind` as one more, the last to be started, for the length of a with block; for tests of the seam."""
    _KINDS.append(kind)
    try:
        yield
    finally:
        _KINDS.remove(kind)


def served(topology: Topology) -> bool:
    """Whether anything in the stack serves the certificates of the spec."""
    return any(kind.serves_certificates and topology.has(kind.name) for kind in _KINDS)


def programs(topology: Topology) -> tuple[Program, ...]:
    """One Program for each service, in the topology's order.

    Raises OpsError for a service whose executable the topology does not know.
    """
    return tuple(kind_of(service).program(topology, service) for service in topology.services)


def resolve(spec: Spec, places: Places, layout: Layout, host: HostFacts) -> Topology:
    """Decide which services run, and where.

    What the host has nothing to run with is left out, and with it an exporter without what it watches; each
    is listed in `absent`.
    """
    asked_for = [(kind, each) for kind in _KINDS for each in kind.instances(spec, places)]
    names = {kind.name for kind, _ in asked_for}
    wanted = [(kind, each) for kind, each in asked_for if not kind.watches or kind.watches in names]
    absent: dict[str, Absent] = {}
    for kind, _ in wanted:
        if places.lacks(kind.facts, host):
            absent[kind.name] = _absence(kind.facts, host)
    for kind, _ in wanted:
        if kind.watches in absent and kind.name not in absent:
            remedy = absent[kind.watches].remedy
            absent[kind.name] = Absent(
                kind.name, msg("nothing to watch without {watches}", watches=kind.watches), remedy
            )
    present = [(kind, each) for kind, each in wanted if kind.name not in absent]
    placed = [
        (kind, each, machine)
        for kind, each in present
        for machine in kind.machines(places.hosts(spec, between=kind.between_machines))
    ]
    running = [
        Service(
            name=machine.named(each.name),
            kind=kind.name,
            host=each.host,
            port=each.port,
            facts=_facts(kind),
            binary=host.binaries.get(kind.facts.binary) if kind.facts.binary else None,
            user=places.user(kind.facts, host),
            weight=each.weight,
            backup=each.backup,
            needs=tuple(
                where.named(other.name)
                for needed in kind.facts.needs
                for other_kind, other, where in placed
                if other_kind.name == needed and where == machine
            ),
            machine=machine,
        )
        for kind, each, machine in placed
    ]
    return Topology(spec, places, layout, host, tuple(running), tuple(absent.values()))


def _absence(facts: ServiceFacts, host: HostFacts) -> Absent:
    if facts.package is None:
        remedy = msg("install {title} and run `techsapo up` again", title=facts.title)
        if "docker" in host.binaries:
            remedy += msg(", or run `techsapo up --engine compose`, whose image includes it")
    else:
        remedy = msg("`techsapo doctor --fix` (as root: apt-get install {package})", package=facts.package)
    return Absent(facts.kind, msg("no {binary} on PATH", binary=facts.binary), remedy)
