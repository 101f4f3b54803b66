"""The certificate of the stack's own Redis: of a CA that signs nothing else, made and renewed by `up`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.adapters import owners
from techsapo_ops.adapters.address import reachable_host
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.engine import Action, Observed, Plan, Step
from techsapo_ops.stack.topology import Topology

if TYPE_CHECKING:
    from techsapo_ops.certs.self_signed import Authority

DAYS = 365
_CLIENTS = frozenset({"app", "redis-exporter"})
"""Kinds that read the CA's certificate when they start."""
_SLACK = timedelta(seconds=2)
"""An engine tells when a service was started by the second, and some by the second before."""


def names(spec: Spec, topology: Topology) -> tuple[str, ...]:
    """What clients call Redis by: on this host, by the address that it listens on, and in containers."""
    service = topology.of_kind("redis")[0].name
    return tuple(dict.fromkeys((service, "localhost", "127.0.0.1", "::1", reachable_host(spec.redis.host))))


def ensure_redis_certificate(spec: Spec, topology: Topology) -> None:
    """See to it that a Redis that speaks TLS finds its certificate, and its clients its CA.

    A new certificate is made where a third of its life or less is left, or its names changed. Its engine
    lets Redis read the key. Raises OpsError for files that can't be read or written.
    """
    if not _speaks_tls(spec, topology):
        return
    from techsapo_ops.adapters.files import write_atomic
    from techsapo_ops.certs.material import certificate_pem
    from techsapo_ops.certs.self_signed import CA_FOLDER, ensure, local_authority

    layout, now = topology.layout, datetime.now(UTC)
    owners.folder(layout.keys, 0o711)
    for folder in (layout.redis_tls, layout.redis_certificate, layout.redis_ca.parent):
        owners.folder(folder, 0o755)
    authority = local_authority(layout.redis_tls / CA_FOLDER, now)
    # The CA first: what clients trust must never be older than what Redis shows.
    if not _trusted(layout.redis_ca, authority):
        write_atomic(layout.redis_ca, certificate_pem(authority.certificate))
    ensure(layout.redis_certificate, names(spec, topology), days=DAYS, now=now)


def with_redis_certificate(plan: Plan, spec: Spec, topology: Topology, observed: Observed) -> Plan:
    """`plan` with a restart of what seems up to date and has, or is about to get, another certificate.

    Redis reads its certificate when it starts, and so do its clients with its CA's.
    """
    if not _speaks_tls(spec, topology):
        return plan
    reasons = _reasons(spec, topology, observed, datetime.now(UTC))
    return replace(
        plan,
        steps=tuple(
            Step(Action.RESTART, step.service, reasons[step.service])
            if step.action is Action.NOTHING and step.service in reasons
            else step
            for step in plan.steps
        ),
    )


def _speaks_tls(spec: Spec, topology: Topology) -> bool:
    return spec.redis.tls and topology.has("redis")


def _reasons(spec: Spec, topology: Topology, observed: Observed, now: datetime) -> Mapping[str, str]:
    """Why services have to be started anew, by name."""
    from techsapo_ops.certs.self_signed import CA_FOLDER, due, known_authority

    layout = topology.layout
    found = {}
    why = due(layout.redis_certificate, names(spec, topology), now=now)
    authority = known_authority(layout.redis_tls / CA_FOLDER, now)
    new_ca = authority is None or not _trusted(layout.redis_ca, authority)
    for service in topology.services:
        name = service.name
        if service.kind == "redis":
            if why:
                found[name] = f"a new certificate, for {why}"
            elif _later(layout.redis_certificate / "fullchain.pem", observed, name):
                found[name] = "its certificate was renewed after it was started"
        elif service.kind in _CLIENTS:
            if new_ca:
                found[name] = "a new CA for the certificate of Redis"
            elif _later(layout.redis_ca, observed, name):
                found[name] = "the CA of Redis's certificate was replaced after it was started"
    return found


def _trusted(file: Path, authority: Authority) -> bool:
    """Whether `file` is what clients need to trust `authority`."""
    from techsapo_ops.certs.material import certificate_pem

    return file.exists() and file.read_bytes() == certificate_pem(authority.certificate)


def _later(file: Path, observed: Observed, name: str) -> bool:
    """Whether `file` was written after the start of a service: a killed `up` did so and went no further."""
    seen = observed.services.get(name)
    if seen is None or seen.started is None:
        return False
    return datetime.fromtimestamp(file.stat().st_mtime, UTC) > seen.started + _SLACK
