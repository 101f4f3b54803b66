"""What must hold of a key and a chain before any server is given them, and when others take their place."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from techsapo_ops.adapters.tls import names_of
from techsapo_ops.certs.material import Pair, canonical, covers, issuer_of, life
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg

_SLOW_CLOCK = timedelta(minutes=5)
"""A CA need not backdate what it issues, and this host's clock may be a little behind its."""


def require(pair: Pair, names: Sequence[str], now: datetime) -> None:
    """Raise OpsError with every problem of `pair`; see `problems`."""
    faults = problems(pair, names, now)
    if faults:
        raise OpsError(
            msg("{where}: {faults}", where=pair.where, faults=joined("; ", faults)),
            msg("the certificate in use stays as it is"),
        )


def problems(pair: Pair, names: Sequence[str], now: datetime) -> tuple[str, ...]:
    """Why a server for `names` should not be given `pair` at `now` (an aware time), one sentence each."""
    faults = []
    if pair.private_key.public_key() != pair.leaf.public_key():
        faults.append(msg("the private key belongs to another certificate"))
    return (
        *faults,
        *chain_problems(pair.certificates),
        *validity(pair.leaf, now),
        *missing(pair.leaf, names),
    )


def chain_problems(chain: Sequence[x509.Certificate]) -> tuple[str, ...]:
    """Where a chain does not lead from the leaf to its CA: each certificate must have signed the one before.

    The root may be left out, as clients have it; the CA that signed the leaf may not.
    """
    faults = []
    for number, (child, parent) in enumerate(itertools.pairwise(chain), 1):
        if not issued_by(child, parent):
            faults.append(
                msg(
                    "certificate {number} of the chain ({subject}) did not sign certificate {number2}",
                    number=number + 1,
                    subject=_subject(parent),
                    number2=number,
                )
            )
    if len(chain) == 1 and not issued_by(chain[0], chain[0]):
        faults.append(
            msg(
                "the chain ends at the leaf: append the certificate of {issuer_of}",
                issuer_of=issuer_of(chain[0]),
            )
        )
    return tuple(faults)


def validity(leaf: x509.Certificate, now: datetime) -> tuple[str, ...]:
    """Why `leaf` is not valid at `now`: expired, or not yet begun, which is mostly a wrong clock."""
    if leaf.not_valid_after_utc <= now:
        return (msg("expired on {moment}", moment=moment(leaf.not_valid_after_utc)),)
    if leaf.not_valid_before_utc > now + _SLOW_CLOCK:
        begins = moment(leaf.not_valid_before_utc)
        return (
            msg(
                "not valid before {begins}, but this host's clock says {moment}: check the clock",
                begins=begins,
                moment=moment(now),
            ),
        )
    return ()


def missing(leaf: x509.Certificate, names: Sequence[str]) -> tuple[str, ...]:
    """The names that `leaf` is not good for."""
    have = names_of(leaf)
    lacking = [n for n in names if not covers(have, n) and canonical(n) not in have]
    if not lacking:
        return ()
    return (
        msg(
            "the certificate covers {have}, but not {lacking}",
            have=", ".join(have) or msg("no name"),
            lacking=joined(", ", lacking),
        ),
    )


def issued_by(child: x509.Certificate, parent: x509.Certificate) -> bool:
    """Whether `parent`'s key signed `child`, and their names agree."""
    try:
        child.verify_directly_issued_by(parent)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or msg("no subject")


def moment(time: datetime) -> str:
    """A time as it is said of certificates."""
    return time.strftime("%Y-%m-%d %H:%M UTC")


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
        return msg("the certificate's files could not be read")
    leaf = pair.leaf
    if leaf.public_key() != pair.private_key.public_key():
        return msg("key and certificate did not match")
    if set(names_of(leaf)) != {canonical(name) for name in names}:
        return msg("the names of the certificate changed")
    if signed_by is not None and not issued_by(leaf, signed_by):
        return msg("the local CA changed")
    if leaf.not_valid_after_utc <= now:
        return validity(leaf, now)[0]
    if renewal_time(leaf, suggested) > now:
        return ""
    if suggested is not None and suggested <= now:
        return msg("the CA asks for a renewal")
    return msg("due for renewal: expires on {moment}", moment=moment(leaf.not_valid_after_utc))
