"""Bootstrap certificates: a local CA of this stack signs them, so that TLS works before any ACME order.

No browser trusts this CA until someone imports `.ca/ca.pem`; a certificate from a public CA takes its place.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.errors import OpsError

KeyType = Literal["ecdsa", "rsa"]
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

CHAIN, KEY = "fullchain.pem", "privkey.pem"
_CA_DAYS = 3650
_COMMON_NAME_LIMIT = 64  # RFC 5280, ub-common-name
# A host whose clock is a little behind must not find the certificate "not yet valid".
_BACKDATED = timedelta(hours=1)


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
    key_type: KeyType = "ecdsa",
    days: int = 90,
    now: datetime,
) -> Ensured:
    """See to it that `directory` holds fullchain.pem (0644) and privkey.pem (0600) for `names`.

    The CA is kept in `.ca` beside `directory`, so that all certificates of a stack share it. A new
    certificate is made when there is none that can be used, when a third of its life or less is left, when
    names, key type or CA changed; otherwise nothing is touched. `names` are DNS names (`*.` allowed) or IP
    addresses, `days` is the lifetime, `now` an aware time. Raises OpsError when the files can't be written
    or the CA can't be read.
    """
    if not names:
        raise OpsError(
            f"certificate {directory.name} has no names", f"set certificates.{directory.name}.names"
        )
    authority = _authority(directory.parent / ".ca", now)
    chain, key = directory / CHAIN, directory / KEY
    reason, not_after = _why_new(chain, key, names, key_type, authority, now)
    if reason:
        private = _new_key(key_type)
        leaf = _sign(private, names, authority, days, now)
        not_after = leaf.not_valid_after_utc
        # The key first: killed between the two, key and chain don't match, and the next call mends it.
        write_atomic(key, _key_pem(private), 0o600)
        write_atomic(chain, _pem(leaf) + _pem(authority.certificate), 0o644)
    return Ensured(chain, key, not_after, reason)


def not_after(chain: Path) -> datetime:
    """When the first certificate of a PEM file ends. Raises OpsError when it can't be read."""
    try:
        return x509.load_pem_x509_certificate(chain.read_bytes()).not_valid_after_utc
    except OSError as error:
        raise OpsError(f"cannot read certificate {chain}: {error.strerror}") from None
    except ValueError:
        raise OpsError(f"{chain} is not a PEM certificate", "remove it and run `techsapo up`") from None


@dataclass(frozen=True, slots=True)
class _Authority:
    certificate: x509.Certificate
    key: PrivateKey


def _authority(directory: Path, now: datetime) -> _Authority:
    certificate_path, key_path = directory / "ca.pem", directory / "ca.key"
    if key_path.exists() and certificate_path.exists():
        authority = _read_authority(certificate_path, key_path)
        if authority is not None and authority.certificate.not_valid_after_utc - now > timedelta(days=365):
            return authority
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "TechSapo local CA (self-signed)")])
    usage = _usage(certificate_sign=True)
    certificate = (
        _builder(name, name, key, now, timedelta(days=_CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    write_atomic(key_path, _key_pem(key), 0o600)
    write_atomic(certificate_path, _pem(certificate), 0o644)
    return _Authority(certificate, key)


def _read_authority(certificate_path: Path, key_path: Path) -> _Authority | None:
    """The CA, or None when its files were cut short or don't belong together."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
        key = serialization.load_pem_private_key(key_path.read_bytes(), None)
    except OSError as error:
        raise OpsError(f"cannot read the local CA {key_path.parent}: {error.strerror}") from None
    except (ValueError, TypeError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        return None
    return _Authority(certificate, key) if certificate.public_key() == key.public_key() else None


def _why_new(
    chain: Path, key: Path, names: Sequence[str], key_type: KeyType, authority: _Authority, now: datetime
) -> tuple[str, datetime]:
    if not chain.exists() or not key.exists():
        return "there was none", now
    try:
        leaf = x509.load_pem_x509_certificate(chain.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except OSError as error:
        raise OpsError(f"cannot read certificate {chain}: {error.strerror}") from None
    except (ValueError, TypeError):
        return "its files could not be read", now
    ends = leaf.not_valid_after_utc
    life = ends - leaf.not_valid_before_utc
    kind = ec.EllipticCurvePrivateKey if key_type == "ecdsa" else rsa.RSAPrivateKey
    if leaf.public_key() != private.public_key():
        reason = "key and certificate did not match"
    elif not isinstance(private, kind):
        reason = "the key type changed"
    elif _names(leaf) != {_canonical(name) for name in names}:
        reason = "the names changed"
    elif not _signed_by(leaf, authority):
        reason = "the local CA changed"
    elif ends - now <= life / 3:
        reason = "it had expired" if ends <= now else "a third of its life was left"
    else:
        reason = ""
    return reason, ends


def _signed_by(leaf: x509.Certificate, authority: _Authority) -> bool:
    try:
        leaf.verify_directly_issued_by(authority.certificate)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _names(leaf: x509.Certificate) -> set[str]:
    try:
        alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    addresses = {str(address) for address in alternatives.get_values_for_type(x509.IPAddress)}
    return addresses | set(alternatives.get_values_for_type(x509.DNSName))


def _canonical(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower()


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.lower())


def _sign(
    key: PrivateKey, names: Sequence[str], authority: _Authority, days: int, now: datetime
) -> x509.Certificate:
    short = names[0] if len(names[0]) <= _COMMON_NAME_LIMIT else "TechSapo"
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, short)])
    issuer = authority.certificate
    return (
        _builder(subject, issuer.subject, key, now, timedelta(days=days))
        .add_extension(
            x509.SubjectAlternativeName([_general(n) for n in dict.fromkeys(names)]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(key_encipherment=isinstance(key, rsa.RSAPrivateKey)), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
        )
        .sign(authority.key, hashes.SHA256())
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


def _usage(*, certificate_sign: bool = False, key_encipherment: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificate_sign,
        key_cert_sign=certificate_sign,
        crl_sign=certificate_sign,
        key_encipherment=key_encipherment,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _new_key(key_type: KeyType) -> PrivateKey:
    if key_type == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def _key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
