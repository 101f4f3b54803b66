"""The secret by which the members of a cluster know each other: of MariaDBs, of Alertmanagers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from techsapo_ops.adapters.files import write_atomic

_YEARS = timedelta(days=3650)
_BEFORE = timedelta(days=1)
"""By so much a member's clock may go behind."""


def made_key(path: Path, member: str) -> None:
    """See to it that `path` holds a private key, and a certificate that it signed; 0600, made once.

    All members have both, and trust that certificate alone: so who has the key is a member, and nobody else
    is. Nothing in it names a host, since none is told from another by it; `member` is what all of them are
    called. Raises OpsError where it can't be written.
    """
    if path.exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"techsapo {member} cluster")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + _YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(member)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_atomic(path, private + certificate.public_bytes(serialization.Encoding.PEM), 0o600)
