"""A private key and the chain that belongs to it, and what can be read from them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Pair:
    """A certificate ready to be served: private key and chain as PEM, the leaf first in the chain.

    `where` names its origin in error messages. The properties raise OpsError when the PEM can't be read.
    """

    key: bytes
    chain: bytes
    where: str = msg("the certificate")

    @cached_property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """The chain, the leaf first; never empty."""
        return read_chain(self.chain, self.where)

    @cached_property
    def private_key(self) -> PrivateKey:
        """The private key."""
        try:
            key = serialization.load_pem_private_key(self.key, None)
        except (ValueError, TypeError):
            raise OpsError(
                msg("{where}: the private key is not PEM, or it has a passphrase", where=self.where),
                msg("nginx starts unattended: store the key without a passphrase"),
            ) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise OpsError(msg("{where}: the private key is neither ECDSA nor RSA", where=self.where))
        return key

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate itself."""
        return self.certificates[0]

    @property
    def intact(self) -> Pair | None:
        """This pair, None where key or chain are damaged."""
        try:
            _ = self.leaf, self.private_key
        except OpsError:
            return None
        return self


def read_chain(pem: bytes, where: str) -> tuple[x509.Certificate, ...]:
    """All certificates of a PEM file. Raises OpsError naming `where` for anything else."""
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except ValueError:
        raise OpsError(
            msg("{where} is not a PEM certificate", where=where),
            msg("a PEM certificate begins with -----BEGIN CERTIFICATE-----"),
        ) from None


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh private key: ECDSA on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: PrivateKey) -> bytes:
    """`key` as unencrypted PKCS #8."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """`certificate` as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def signing_request(key: PrivateKey, names: Sequence[str]) -> bytes:
    """A PKCS #10 request (PEM) for `names`, without a subject: the CA reads the alternative names alone."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    alternatives = x509.SubjectAlternativeName([general_name(n) for n in dict.fromkeys(names)])
    request = builder.add_extension(alternatives, critical=False).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


def issuer_of(certificate: x509.Certificate) -> str:
    """Who signed a certificate, in a few words."""
    for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for attribute in certificate.issuer.get_attributes_for_oid(kind):
            return str(attribute.value)
    return certificate.issuer.rfc4514_string() or msg("(no issuer)")


def life(certificate: x509.Certificate) -> timedelta:
    """How long a certificate is valid altogether."""
    return certificate.not_valid_after_utc - certificate.not_valid_before_utc


def canonical(name: str) -> str:
    """`name` as certificates spell it."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower()


def general_name(name: str) -> x509.GeneralName:
    """A DNS name or IP address as a certificate's alternative name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name.lower())


def covers(names: Iterable[str], wanted: str) -> bool:
    """Whether a certificate for `names` is good for `wanted` (RFC 9525: `*` stands for one label)."""
    wanted = canonical(wanted)
    have = {canonical(n) for n in names}
    _, _, parent = wanted.partition(".")
    return wanted in have or (parent != "" and f"*.{parent}" in have)


def days_left(certificate: x509.Certificate, now: datetime) -> float:
    """Days until a certificate ends; negative afterwards."""
    return (certificate.not_valid_after_utc - now) / timedelta(days=1)
