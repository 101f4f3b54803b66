"""When another certificate is to take the place of one, and why: by its own life, not by a calendar."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction

from cryptography import x509

from techsapo_ops.adapters.tls import names_of
from techsapo_ops.certs.checks import issued_by, moment, validity
from techsapo_ops.certs.material import Pair, canonical, life
from techsapo_ops.messages import msg

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


def why_new(
    pair: Pair | None,
    names: Sequence[str],
    now: datetime,
    *,
    signed_by: x509.Certificate | None = None,
    suggested: datetime | None = None,
) -> str:
    """Why another certificate for `names` should take the place of `pair`; "" when it can stay.

    `pair` is None where its files are damaged. `signed_by` is the CA that has to have signed it, None where
    any may; `suggested` is when the CA wants it to be renewed.
    """
    if pair is None:
        return msg("its files could not be read")
    leaf = pair.leaf
    if leaf.public_key() != pair.private_key.public_key():
        return msg("key and certificate did not match")
    if set(names_of(leaf)) != {canonical(name) for name in names}:
        return msg("the names changed")
    if signed_by is not None and not issued_by(leaf, signed_by):
        return msg("the local CA changed")
    if leaf.not_valid_after_utc <= now:
        return validity(leaf, now)[0]
    if renewal_time(leaf, suggested) > now:
        return ""
    if suggested is not None and suggested <= now:
        return msg("the CA asks for it")
    return msg("it is due for renewal, as it ends on {moment}", moment=moment(leaf.not_valid_after_utc))
