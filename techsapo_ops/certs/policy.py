"""When a certificate is to be renewed: by its own life, not by a calendar."""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction

from cryptography import x509

from techsapo_ops.certs.material import life

_SHORT = timedelta(days=10)
_JITTER = Fraction(1, 30)
"""Part of the life over which renewals are spread: what was made together does not renew together."""
_SPREAD = 10_000


def share_left(total: timedelta) -> Fraction:
    """The part of a life that is left when renewal begins: a third, or half of at most ten days."""
    return Fraction(1, 2) if total <= _SHORT else Fraction(1, 3)


def renewal_time(leaf: x509.Certificate, suggested: datetime | None = None) -> datetime:
    """When `leaf` is to be renewed.

    A third of its life before it ends (half where it lives for ten days or less), and up to a thirtieth
    earlier: by the serial number, so that every look gives the same. What the CA has `suggested` (RFC 9773)
    takes the place of that within the life of the certificate; a time in the past means at once. A life of
    days is too short for the CA's fixed margins.
    """
    total = life(leaf)
    if suggested is not None and total > _SHORT and suggested < leaf.not_valid_after_utc:
        return suggested
    part = Fraction(leaf.serial_number % _SPREAD, _SPREAD)
    return leaf.not_valid_after_utc - total * float(share_left(total) + _JITTER * part)
