"""Revoking a certificate at its CA."""

from __future__ import annotations

from dataclasses import replace

from techsapo_ops.adapters.acme import AcmeError
from techsapo_ops.certs.store import Version
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.certificates.needs import Certificates
from techsapo_ops.operations.certificates.ordering import signed_in
from techsapo_ops.operations.certificates.renew import working
from techsapo_ops.spec.problems import unknown

REASONS = {
    "unspecified": 0,
    "keyCompromise": 1,
    "affiliationChanged": 3,
    "superseded": 4,
    "cessationOfOperation": 5,
}
"""Why a certificate is revoked, by the names and codes of RFC 5280, 5.3.1, that a subscriber may give."""


def revocable(certificates: Certificates, name: str, reason: str) -> Version:
    """The version that `revoke` would revoke. Raises OpsError for one that no CA issued, an unknown name or
    reason."""
    ((name, _),) = certificates.kept([name])
    if reason not in REASONS:
        raise unknown(msg("reason"), reason, REASONS)
    version = certificates.store(name).live()
    if version is None or version.origin.source != "acme":
        raise OpsError(
            msg("certificate {name} is not from an ACME CA", name=name), msg("there is nothing to revoke")
        )
    return version


def revoke(certificates: Certificates, name: str, reason: str, *, wait: float = 0.0) -> Version:
    """Revoke the certificate `name` at its CA; returns the version, which stays in use until it is renewed.

    One that is revoked already is no error: a run that was killed may not have noted it. Raises OpsError as
    `revocable` does, and for what the CA refuses.
    """
    with working(certificates, wait):
        version = revocable(certificates, name, reason)
        server = signed_in(certificates, name, version.origin.directory)
        try:
            server.revoke(version.pair.leaf, REASONS[reason])
        except AcmeError as error:
            if error.code != "alreadyRevoked":
                raise
        store = certificates.store(name)
        store.remember(replace(store.state, revoked=version.number))
        return version
