"""What `up` has to say of a stack: a row per service, and the choices that it made."""

from __future__ import annotations

from dataclasses import dataclass

from techsapo_ops.adapters.address import Address
from techsapo_ops.operations.jobs.timetable import NOBODY, nobody_starts_them
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.engine import ObservedService, State
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

FAILED = "failed"
_SCHEMES = {"redis": "redis", "mysql": "mysql"}


@dataclass(frozen=True, slots=True)
class Row:
    """One service: `state` is a word of stack.engine.State, or `failed`."""

    service: str
    kind: str
    state: str
    url: str
    note: str = ""


def row(spec: Spec, topology: Topology, service: Service, seen: ObservedService | None, failed: bool) -> Row:
    """The row of `service`, which runs as `seen`."""
    state = seen.state if seen is not None else State.STOPPED
    if state is State.STARTING:
        state = State.RUNNING  # it passed its gate a moment ago; the supervisor calls it so a second later
    return Row(
        service.name,
        service.kind,
        FAILED if failed else str(state),
        service_url(spec, topology, service),
        "private to the stack"
        if not topology.published(service)
        else _share(service)
        if len(topology.of_kind("app")) > 1
        else "",
    )


def _share(service: Service) -> str:
    if service.kind != "app":
        return ""
    return f"weight {service.weight}, backup" if service.backup else f"weight {service.weight}"


def service_url(spec: Spec, topology: Topology, service: Service) -> str:
    """Where a user of this host reaches `service`; empty for what is private to the stack."""
    if not topology.published(service):
        return ""
    address = topology.address(service, Viewpoint.OUTSIDE)
    if service.kind == "nginx" and spec.served_certificate is not None:
        return Address(address.host, spec.nginx.tls_listen).url(scheme="https")
    if service.kind == "redis" and spec.redis.tls:
        return address.url(scheme="rediss")
    return address.url(scheme=_SCHEMES.get(service.kind, "http"))


def notes(spec: Spec, topology: Topology) -> tuple[str, ...]:
    """What the stack does without being told, or leaves out by choice, one sentence each."""
    found = []
    if not topology.has("mysql"):
        why = "" if spec.mysql is None else ", as MariaDB is not here"
        how = "; a `mysql:` section in the spec makes it MariaDB" if spec.mysql is None else ""
        found.append(f"audit log: SQLite{why}{how}")
    if not topology.has("redis"):
        why = "" if spec.redis.enabled else " (redis.enabled: false)"
        found.append(f"cache: in each app's own memory, as there is no Redis{why}")
    providers = [p for p in spec.providers.values() if p.enabled]
    if providers and all(p.kind == "simulated" for p in providers):
        found.append(
            f"answers are simulated ({len(providers)} providers): `providers:` in the spec adds real ones"
        )
    certificate = spec.served_certificate
    if topology.has("nginx") and certificate is not None:
        source = spec.certificates[certificate].source
        if source != "files":
            found.append(f"certificate {certificate}: signed by the stack's own CA, which no browser trusts")
    if nobody_starts_them(topology, spec.schedule):
        found.append(NOBODY)
    # nginx's master is root by design: its workers drop to www-data.
    as_root = [s for s in topology.services if topology.places.as_root(s, topology.host)]
    if as_root:
        names = ", ".join(dict.fromkeys(s.kind for s in as_root))
        users = ", ".join(dict.fromkeys(s.facts.user for s in as_root))
        found.append(
            f"running as root: {names}; no user {users} that reaches {topology.layout.state.parent} "
            "and this Python (`techsapo doctor` says more)"
        )
    return tuple(found)
