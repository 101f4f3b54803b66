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
from techsapo_ops.certs.checks import issued_by
from techsapo_ops.certs.material import (
    Pair,
    PrivateKey,
    canonical,
    certificate_pem,
    general_name,
    key_pem,
    names_of,
    new_key,
)
from techsapo_ops.certs.policy import renewal_time
from techsapo_ops.certs.store import CHAIN, KEY, read_pair
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

CA_FOLDER = ".ca"
"""The local CA's folder, beside the certificates that it signs."""
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
    """What `ensure` found or made; `reason` says why it wrote, and is "" when nothing had to be."""

    chain: Path
    key: Path
    not_after: datetime
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

    The CA is kept in `.ca` beside `directory`, so that all certificates of a stack share it. A new
    certificate is made when there is none that can be used, when a third of its life or less is left, when
    names or CA changed; otherwise nothing is touched. `names` are DNS names (`*.` allowed) or IP
    addresses, `days` is the lifetime, `now` an aware time. Raises OpsError when the files can't be written
    or the CA can't be read.
    """
    if not names:
        raise OpsError(
            msg("certificate {directory} has no names", directory=directory.name),
            msg("set certificates.{directory}.names", directory=directory.name),
        )
    authority = local_authority(directory.parent / CA_FOLDER, now)
    chain, key = directory / CHAIN, directory / KEY
    pair, reason = _found(directory, names, authority, now)
    if pair is None or reason:
        pair = sign(names, authority, days=days, now=now)
        # The key first: killed between the two, key and chain don't match, and the next call fixes it.
        write_atomic(key, pair.key, 0o600)
        write_atomic(chain, pair.chain, 0o644)
    return Ensured(chain, key, pair.leaf.not_valid_after_utc, reason)


def due(directory: Path, names: Sequence[str], *, now: datetime) -> str:
    """Why `ensure` would write a new certificate, "" where it would not; nothing is written."""
    authority = known_authority(directory.parent / CA_FOLDER, now)
    if authority is None:
        return msg("there was no local CA, or it was about to end")
    return _found(directory, names, authority, now)[1]


def _found(
    directory: Path, names: Sequence[str], authority: Authority, now: datetime
) -> tuple[Pair | None, str]:
    """What `directory` holds, None where it is not whole, and why it should be replaced."""
    chain, key = directory / CHAIN, directory / KEY
    if not chain.exists() or not key.exists():
        return None, msg("there was none")
    pair = read_pair(key, chain)
    return pair, why_new(pair, names, authority, now)


def why_new(pair: Pair, names: Sequence[str], authority: Authority, now: datetime) -> str:
    """Why a new certificate should take the place of `pair`; "" when it can stay."""
    try:
        leaf, private = pair.leaf, pair.private_key
    except OpsError:
        return msg("its files could not be read")
    if leaf.public_key() != private.public_key():
        return msg("key and certificate did not match")
    if set(names_of(leaf)) != {canonical(name) for name in names}:
        return msg("the names changed")
    if not issued_by(leaf, authority.certificate):
        return msg("the local CA changed")
    if leaf.not_valid_after_utc <= now:
        return msg("it had expired")
    return msg("it is due for renewal") if renewal_time(leaf) <= now else ""


def local_authority(directory: Path, now: datetime) -> Authority:
    """The CA in `directory`, made there when there is none or it ends within a year.

    Raises OpsError when it can't be read or written.
    """
    known = known_authority(directory, now)
    if known is not None:
        return known
    certificate_path, key_path = _ca_files(directory)
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
    write_atomic(key_path, key_pem(key), 0o600)
    write_atomic(certificate_path, certificate_pem(certificate), 0o644)
    return Authority(certificate, key)


def known_authority(directory: Path, now: datetime) -> Authority | None:
    """The CA in `directory`, None when there is none that can be used or it ends within a year.

    Raises OpsError when it can't be read.
    """
    certificate_path, key_path = _ca_files(directory)
    if not key_path.exists() or not certificate_path.exists():
        return None
    authority = _read_authority(certificate_path, key_path)
    if authority is None or authority.certificate.not_valid_after_utc - now <= timedelta(days=365):
        return None
    return authority


def _ca_files(directory: Path) -> tuple[Path, Path]:
    return directory / "ca.pem", directory / "ca.key"


def _read_authority(certificate_path: Path, key_path: Path) -> Authority | None:
    """The CA, or None when its files were cut short or don't belong together."""
    try:
        pair = Pair(key_path.read_bytes(), certificate_path.read_bytes(), where=str(certificate_path))
    except OSError as error:
        raise OpsError(
            msg(
                "cannot read the local CA {parent}: {strerror}",
                parent=key_path.parent,
                strerror=error.strerror,
            )
        ) from None
    try:
        certificate, key = pair.leaf, pair.private_key
    except OpsError:
        return None
    return Authority(certificate, key) if certificate.public_key() == key.public_key() else None


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
