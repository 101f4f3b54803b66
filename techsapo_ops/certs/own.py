"""Certificates that servers must find when they start: those of nginx, and those within the stack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.adapters import owners
from techsapo_ops.messages import joined, msg
from techsapo_ops.services.registry import served
from techsapo_ops.stack.observed import Observed
from techsapo_ops.stack.own_tls import OwnTls, own_tls, trusted
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.step import Action, Plan, Step
from techsapo_ops.stack.topology import Topology

if TYPE_CHECKING:
    from collections.abc import Callable

    from techsapo_ops.certs.needs import Managed
    from techsapo_ops.certs.self_signed import Authority


DAYS = 365
_SLACK = timedelta(seconds=2)
"""An engine tells when a service was started by the second, and some by the second before."""


def ensure_own_certificates(topology: Topology) -> None:
    """See to it that a server that speaks TLS finds its certificate, and its clients its CA.

    A new certificate is made where a third of its life or less is left, or its names changed. Its engine
    lets the server read the key. Raises OpsError for files that can't be read or written.
    """
    for _, tls in _speaking(topology):
        _ensure(topology, tls)


def _ensure(topology: Topology, tls: OwnTls) -> None:
    from techsapo_ops.adapters.files import write_atomic
    from techsapo_ops.certs.material import certificate_pem
    from techsapo_ops.certs.self_signed import CA_FOLDER, ensure, local_authority

    now = datetime.now(UTC)
    owners.folder(topology.layout.keys, 0o711)
    for folder in (tls.folder, tls.certificate, tls.ca.parent):
        owners.folder(folder, 0o755)
    authority = local_authority(tls.folder / CA_FOLDER, now)
    # The CA first: what clients trust must never be older than what the server shows.
    if not _trusted(tls.ca, authority):
        write_atomic(tls.ca, certificate_pem(authority.certificate))
    ensure(tls.certificate, tls.names, days=DAYS, now=now)


def with_own_certificates(plan: Plan, topology: Topology, observed: Observed) -> Plan:
    """`plan` with a restart of what seems up to date and has, or is about to get, another certificate.

    A server reads its certificate when it starts, and so do its clients with its CA's.
    """
    reasons = {
        name: why
        for server, tls in _speaking(topology)
        for name, why in _reasons(topology, server, tls, observed).items()
    }
    if not reasons:
        return plan
    return replace(
        plan,
        steps=tuple(
            Step(Action.RESTART, step.service, reasons[step.service])
            if step.action is Action.NOTHING and step.service in reasons
            else step
            for step in plan.steps
        ),
    )


def _speaking(topology: Topology) -> Iterator[tuple[Service, OwnTls]]:
    for service in topology.services:
        if (tls := own_tls(topology, service)) is not None:
            yield service, tls


def _reasons(topology: Topology, server: Service, tls: OwnTls, observed: Observed) -> Mapping[str, str]:
    """Why services have to be started anew, by name."""
    from techsapo_ops.certs.self_signed import CA_FOLDER, due, known_authority

    now = datetime.now(UTC)
    reasons = {}
    why = due(tls.certificate, tls.names, now=now)
    authority = known_authority(tls.folder / CA_FOLDER, now)
    new_ca = authority is None or not _trusted(tls.ca, authority)
    for service in topology.services:
        name = service.name
        if service == server:
            if why:
                reasons[name] = msg("a new certificate: {why}", why=why)
            elif _later(tls.certificate / "fullchain.pem", observed, name):
                reasons[name] = msg("the certificate was renewed after this service started")
        elif server.kind in trusted(topology, service):
            if new_ca:
                reasons[name] = msg("a new CA for the certificate of {title}", title=tls.title)
            elif _later(tls.ca, observed, name):
                reasons[name] = msg(
                    "the CA of {title}'s certificate was replaced after this service started", title=tls.title
                )
    return reasons


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


def ensure_certificates(topology: Topology) -> str:
    """See to it that every certificate of nginx is there; returns why one was written, or "".

    `self-signed` is made and renewed here, `files` are checked and taken over from where the spec says,
    relative to the spec's folder. Until a first order has succeeded, `acme` has a self-signed stand-in.
    Hooks and `install_to` are left to the next `techsapo certs renew`. Raises OpsError for files that no
    server should be given.
    """
    return _of_each(topology, _ensure_one)


def certificates_due(topology: Topology) -> str:
    """Why `ensure_certificates` would write a certificate now, in its words, or ""; nothing is written.

    Raises OpsError for files that can't be read.
    """
    return _of_each(topology, _reason)


def _of_each(topology: Topology, reason: Callable[[Managed], str]) -> str:
    if not served(topology) or not topology.spec.certificates:
        return ""
    from techsapo_ops.adapters.process import SubprocessRunner  # with cryptography: for stacks with TLS
    from techsapo_ops.certs.needs import Certificates

    certificates = Certificates(topology, SubprocessRunner())
    reasons = ((each.name, reason(each)) for each in certificates.managed())
    return joined(
        "; ", (msg("certificate {name}: {why}", name=name, why=why) for name, why in reasons if why)
    )


def _reason(certificate: Managed) -> str:
    """Why the certificate, or the link to it, has to be written before nginx starts."""
    linked = certificate.store.live() is not None
    return _why_new(certificate) or ("" if linked else msg("the link to the certificate was missing"))


def _why_new(certificate: Managed) -> str:
    from techsapo_ops.certs.needs import Need

    if certificate.spec.source == "acme" and certificate.store.newest():
        return ""  # what a CA issued is renewed by the job, which nginx has to run for
    due = certificate.due()
    return due.reason if due.need in {Need.ISSUE, Need.RENEW, Need.TAKE_OVER} else ""


def _ensure_one(certificate: Managed) -> str:
    from techsapo_ops.certs.deploy import note_deployed
    from techsapo_ops.certs.renew import made_here

    reason, store = _reason(certificate), certificate.store
    if not reason:
        return ""
    newest = store.newest()
    if newest is not None and not _why_new(certificate):
        store.activate(store.find(store.state.deployed) or newest)
        return reason
    version = made_here(certificate)
    store.activate(version)
    note_deployed(certificate, version)
    store.prune()
    return reason
