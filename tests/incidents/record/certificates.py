"""The certificate authority of the recorded machine, and what it issues."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

AUTHORITY = Path("/etc/shop/ca.pem")
_KEY = Path("/etc/psp/ca.key")
DAY = 86400


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, ends_in: float
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    serial = x509.random_serial_number()
    began, ends = now - timedelta(days=30), now + timedelta(seconds=ends_in)
    return x509.CertificateBuilder(issuer, subject, key.public_key(), serial, began, ends)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    plain = serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))


def make_authority() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Recorded CA")
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    made = _builder(name, name, key, 90 * DAY).add_extension(x509.BasicConstraints(True, None), True)
    made = made.add_extension(usage, True)
    made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    AUTHORITY.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    _write_key(_KEY, key)


def issue(path: str, *names: str, ends_in: float = 60 * DAY) -> None:
    """Write PATH.pem and PATH.key for names; the certificate ends after so many seconds."""
    authority = x509.load_pem_x509_certificate(AUTHORITY.read_bytes())
    issuer = serialization.load_pem_private_key(_KEY.read_bytes(), None)
    assert isinstance(issuer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    made = _builder(_name(names[0]), authority.subject, key, ends_in)
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False)
    made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), False)
    Path(f"{path}.pem").write_bytes(
        made.sign(issuer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    _write_key(Path(f"{path}.key"), key)


def names_and_end(path: Path) -> tuple[list[str], datetime]:
    """For which names a certificate is, and when it ends."""
    shown = x509.load_pem_x509_certificate(path.read_bytes())
    names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName), shown.not_valid_after_utc
