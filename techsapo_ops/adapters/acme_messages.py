"""What an ACME server says, as values, and the small sums of the protocol."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509

_LONGEST_PAUSE = 60.0


@dataclass(frozen=True, slots=True)
class Order:
    """An order as the server sees it."""

    url: str
    status: str
    finalize: str
    authorizations: tuple[str, ...]
    certificate: str | None
    error: str
    """Why it became invalid, in words."""
    wait: float
    """Seconds after which the server wants to be asked again; 0 where it did not say."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to prove that a name is ours."""

    kind: str
    url: str
    token: str
    status: str


@dataclass(frozen=True, slots=True)
class Authorization:
    """What the server wants to see for one name."""

    url: str
    name: str
    status: str
    challenges: tuple[Challenge, ...]
    error: str
    wait: float


@dataclass(frozen=True, slots=True)
class Binding:
    """What ties an account to one at the CA's own site (RFC 8555, 7.3.4)."""

    key_id: str
    hmac_key: str = field(repr=False)
    """In base64url."""


def pause(attempt: int, wait: float) -> float:
    """Seconds before the server is asked for the `attempt`-th time (from 0); `wait` is its Retry-After.

    At first soon, since most answers are there at once, then ever more seldom; never sooner than it asked,
    and never more than a minute, as an order's own deadline is near.
    """
    return min(max(wait, 0.05 * 2.0 ** min(attempt, 6)), _LONGEST_PAUSE)


def retry_at(header: str | None, now: datetime) -> datetime | None:
    """The moment that a Retry-After header means (RFC 9110, 10.2.3); None where there is none."""
    if header is None:
        return None
    if header.strip().isdigit():
        return now + timedelta(seconds=min(int(header), 366 * 86400))
    try:
        at = parsedate_to_datetime(header)
    except ValueError:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def renewal_id(certificate: x509.Certificate) -> str:
    """The id by which renewal information is asked for: key identifier and serial number (RFC 9773, 4.1)."""
    from cryptography import x509

    identifier = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    serial = certificate.serial_number
    number = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
    return f"{base64url(identifier.key_identifier or b'')}.{base64url(number)}"


def dns_value(key_authorization: str) -> str:
    """The TXT record's value of a dns-01 challenge (RFC 8555, 8.4)."""
    return base64url(hashlib.sha256(key_authorization.encode()).digest())


def base64url(content: bytes) -> str:
    """`content` in base64url without padding (RFC 8555, 6.1)."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
