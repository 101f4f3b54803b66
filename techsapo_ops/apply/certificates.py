"""Certificates that nginx must find when it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from techsapo_ops.messages import joined, msg
from techsapo_ops.services.registry import served
from techsapo_ops.stack.topology import Topology

if TYPE_CHECKING:
    from collections.abc import Callable

    from techsapo_ops.certs.needs import Managed


def ensure_certificates(topology: Topology) -> str:
    """See to it that every certificate of nginx is there; returns why one was written, or "".

    `self-signed` is made and renewed here, `files` are checked and taken over from where the spec says,
    relative to the spec's folder. Until a first order has succeeded, `acme` has a self-signed stand-in.
    Hooks and `install_to` are left to the next `techsapo certs renew`. Raises OpsError for files that no
    server should be given.
    """
    return _of_each(topology, _ensure)


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
    return _why_new(certificate) or ("" if linked else msg("its link was missing"))


def _why_new(certificate: Managed) -> str:
    from techsapo_ops.certs.needs import Need

    if certificate.spec.source == "acme" and certificate.store.newest():
        return ""  # what a CA issued is renewed by the job, which nginx has to run for
    due = certificate.due()
    return due.reason if due.need in {Need.ISSUE, Need.RENEW, Need.TAKE_OVER} else ""


def _ensure(certificate: Managed) -> str:
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
