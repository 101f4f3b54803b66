"""Certificates that nginx must find when it starts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from techsapo_ops.messages import joined, msg
from techsapo_ops.services.registry import served
from techsapo_ops.stack.topology import Topology

if TYPE_CHECKING:
    from techsapo_ops.certs.store import Store, Version
    from techsapo_ops.operations.certificates.needs import Certificates


def ensure_certificates(topology: Topology) -> str:
    """See to it that every certificate of nginx is there; returns why one was written, or "".

    `self-signed` is made and renewed here, `files` are checked and taken over from where the spec says,
    relative to the spec's folder. Until a first order has succeeded, `acme` has a self-signed stand-in.
    Hooks and `install_to` are left to the next `techsapo certs renew`. Raises OpsError for files that no
    server should be given.
    """
    if not served(topology) or not topology.spec.certificates:
        return ""
    from techsapo_ops.adapters.process import SubprocessRunner  # with cryptography: for stacks with TLS
    from techsapo_ops.operations.certificates.needs import Certificates

    certificates = Certificates(topology, SubprocessRunner())
    reasons = [_ensure(certificates, name) for name, _ in certificates.kept()]
    return joined("; ", (reason for reason in reasons if reason))


def certificates_due(topology: Topology) -> str:
    """Why `ensure_certificates` would write a certificate now, in its words, or ""; nothing is written.

    Raises OpsError for files that can't be read.
    """
    if not served(topology) or not topology.spec.certificates:
        return ""
    from techsapo_ops.adapters.process import SubprocessRunner
    from techsapo_ops.operations.certificates.needs import Certificates

    certificates = Certificates(topology, SubprocessRunner())
    reasons = ((name, _why(certificates, name)) for name, _ in certificates.kept())
    return joined(
        "; ", (msg("certificate {name}: {why}", name=name, why=why) for name, why in reasons if why)
    )


def _why(certificates: Certificates, name: str) -> str:
    from techsapo_ops.certs.self_signed import CA_FOLDER, known_authority
    from techsapo_ops.operations.certificates.needs import Need

    source, store = certificates.spec.certificates[name].source, certificates.store(name)
    if store.newest() is None:
        # Plain files of an earlier release are taken over as they are.
        return "" if store.chain.is_file() else msg("there was none")
    linked = "" if store.live() is not None else msg("its link was missing")
    folder = certificates.topology.layout.certs / CA_FOLDER
    if source == "self-signed" and known_authority(folder, certificates.now()) is None:
        return msg("its CA is new")
    if source == "acme":
        return linked
    due = certificates.due(name)
    return due.reason if due.need in {Need.ISSUE, Need.RENEW, Need.TAKE_OVER} else linked


def _ensure(certificates: Certificates, name: str) -> str:
    from techsapo_ops.certs.checks import require
    from techsapo_ops.certs.self_signed import sign
    from techsapo_ops.certs.store import Origin
    from techsapo_ops.operations.certificates.deploy import in_use
    from techsapo_ops.operations.certificates.needs import Need

    certificate, store = certificates.spec.certificates[name], certificates.store(name)
    store.adopt(certificate.source)
    newest = store.newest()
    if certificate.source == "acme" and newest is not None:
        return _linked(store, newest)
    due = certificates.due(name)
    if due.need not in {Need.ISSUE, Need.RENEW, Need.TAKE_OVER}:
        return _linked(store, newest)
    now = datetime.now(UTC)
    if certificate.source == "files":
        origin, pair = Origin("files"), certificates.files(name)
        require(pair, certificates.required(name), now)
    else:
        origin = Origin("self-signed")
        authority = certificates.authority()
        names = certificates.names(name)
        pair = sign(names, authority, now=now)
    version = store.put(pair, origin)
    store.activate(version)
    store.remember(replace(in_use(store.state, version, certificate, now), renewed_at=now))
    store.prune()
    return msg("certificate {name}: {reason}", name=name, reason=due.reason)


def _linked(store: Store, newest: Version | None) -> str:
    """Restore the links to the certificate in use where they are missing: nginx does not start then."""
    if newest is None or store.live() is not None:
        return ""
    store.activate(store.find(store.state.deployed) or newest)
    return msg("certificate {store}: its link was missing", store=store.name)
