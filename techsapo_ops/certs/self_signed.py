"""Bootstrap certificates: a local CA of this stack signs them, so that TLS works before any ACME order.

No browser trusts this CA until someone imports `.ca/ca.pem`; a certificate from a public CA takes its place.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.folders import opened
from techsapo_ops.certs.checks import why_new
from techsapo_ops.certs.material import (
    Pair,
    PrivateKey,
    certificate_pem,
    general_name,
    key_pem,
    new_key,
)
from techsapo_ops.certs.store import CHAIN, KEY, read_pair
from techsapo_ops.messages import msg

CA_FOLDER = ".ca"
"""The local CA's folder, beside the certificates that it signs."""
_CA_CERTIFICATE, _CA_KEY = "ca.pem", "ca.key"
_CA_DAYS = 3650
_COMMON_NAME_LIMIT = 64  # RFC 5280, ub-common-name
# A host whose clock is a little behind must not find the certificate "not yet valid".
_BACKDATED = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Authority:
    """The local CA."""

    certificate: x509.Certificate
    key: PrivateKey


@dataclass(frozen=True, slots=True)
class Ensured:
    """The files that `ensure` looked at or made; `reason` says why it wrote, "" when it did not."""

    chain: Path
    key: Path
    reason: str

    @property
    def changed(self) -> bool:
        """Whether a new certificate was written."""
        return bool(self.reason)


def ensure(
    directory: Path,
    names: Sequence[str],
    *,
    days: int = 90,
    now: datetime,
) -> Ensured:
    """See to it that `directory` holds fullchain.pem (0644) and privkey.pem (0600) for `names`.

    The CA is in `.ca` beside `directory`, so that all certificates there share it. A new certificate is made
    when `why_new` says so; otherwise nothing is touched. `names` are DNS names (`*.` allowed) or IP
    addresses, `days` is the lifetime, `now` an aware time. Raises OpsError when the files can't be written
    or the CA can't be read.
    """
    authority = local_authority(directory.parent / CA_FOLDER, now)
    reason = _reason(directory, names, authority, now)
    made = Ensured(directory / CHAIN, directory / KEY, reason)
    if made.changed:
        pair = sign(names, authority, days=days, now=now)
        # The key first: killed between the two, key and chain don't match, and the next call fixes it.
        write_atomic(made.key, pair.key, 0o600)
        write_atomic(made.chain, pair.chain, 0o644)
    return made


def due(directory: Path, names: Sequence[str], *, now: datetime) -> str:
    """Why `ensure` would write a new certificate, "" where it would not; nothing is written."""
    authority = known_authority(directory.parent / CA_FOLDER, now)
    if authority is None:
        return msg("there was no local CA, or it was about to expire")
    return _reason(directory, names, authority, now)


def _reason(directory: Path, names: Sequence[str], authority: Authority, now: datetime) -> str:
    if not (directory / CHAIN).exists() or not (directory / KEY).exists():
        return msg("there was no certificate")
    pair = read_pair(directory / KEY, directory / CHAIN).intact
    return why_new(pair, names, now, signed_by=authority.certificate)


def local_authority(directory: Path, now: datetime) -> Authority:
    """The CA in `directory`, made there when there is none or it ends within a year.

    Raises OpsError when it can't be read or written.
    """
    known = known_authority(directory, now)
    if known is not None:
        return known
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "TechSapo local CA (self-signed)")])
    usage = _usage(certificate_sign=True)
    certificate = (
        _builder(name, name, key, now, timedelta(days=_CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    with opened(directory, make=0o700) as folder:
        os.fchmod(folder, 0o700)
    write_atomic(directory / _CA_KEY, key_pem(key), 0o600)
    write_atomic(directory / _CA_CERTIFICATE, certificate_pem(certificate), 0o644)
    return Authority(certificate, key)


def known_authority(directory: Path, now: datetime) -> Authority | None:
    """The CA in `directory`; None when there is none, its files are damaged or it ends within a year.

    Raises OpsError when it can't be read.
    """
    certificate, key = directory / _CA_CERTIFICATE, directory / _CA_KEY
    if not key.exists() or not certificate.exists():
        return None
    pair = read_pair(key, certificate).intact
    if pair is None or pair.leaf.public_key() != pair.private_key.public_key():
        return None
    lasts = pair.leaf.not_valid_after_utc - now > timedelta(days=365)
    return Authority(pair.leaf, pair.private_key) if lasts else None


def sign(names: Sequence[str], authority: Authority, *, days: int = 90, now: datetime) -> Pair:
    """A new key and a certificate for `names` (DNS names, `*.` allowed, or IP addresses), CA included."""
    key = new_key()
    short = names[0] if len(names[0]) <= _COMMON_NAME_LIMIT else "TechSapo"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, short)])
    issuer = authority.certificate
    leaf = (
        _builder(subject, issuer.subject, key, now, timedelta(days=days))
        .add_extension(
            x509.SubjectAlternativeName([general_name(n) for n in dict.fromkeys(names)]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
        )
        .sign(authority.key, hashes.SHA256())
    )
    return Pair(
        key_pem(key), certificate_pem(leaf) + certificate_pem(issuer), msg("the self-signed certificate")
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, certificate_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificate_sign,
        key_cert_sign=certificate_sign,
        crl_sign=certificate_sign,
        key_encipherment=False,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
