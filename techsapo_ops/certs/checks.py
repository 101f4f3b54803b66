"""What must hold of a key and a chain before any server is given them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from techsapo_ops.adapters.tls import names_of
from techsapo_ops.certs.material import Pair, canonical, covers, issuer_of
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg

_SLOW_CLOCK = timedelta(minutes=5)
"""A CA need not backdate what it issues, and this host's clock may be a little behind its."""


def require(pair: Pair, names: Sequence[str], now: datetime) -> None:
    """Raise OpsError with every problem of `pair`; see `problems`."""
    found = problems(pair, names, now)
    if found:
        raise OpsError(
            msg("{where}: {found}", where=pair.where, found=joined("; ", found)),
            msg("the certificate in use stays as it is"),
        )


def problems(pair: Pair, names: Sequence[str], now: datetime) -> tuple[str, ...]:
    """Why a server for `names` should not be given `pair` at `now` (an aware time), one sentence each."""
    found = []
    if pair.private_key.public_key() != pair.leaf.public_key():
        found.append(msg("the private key belongs to another certificate"))
    return (*found, *chain_problems(pair.certificates), *validity(pair.leaf, now), *missing(pair.leaf, names))


def chain_problems(chain: Sequence[x509.Certificate]) -> tuple[str, ...]:
    """Where a chain does not lead from the leaf to its CA: each certificate must have signed the one before.

    The root may be left out, as clients have it; the CA that signed the leaf may not.
    """
    found = []
    for number, (child, parent) in enumerate(itertools.pairwise(chain), 1):
        if not issued_by(child, parent):
            found.append(
                msg(
                    "certificate {number} of the chain ({subject}) did not sign number {number2}",
                    number=number + 1,
                    subject=_subject(parent),
                    number2=number,
                )
            )
    if len(chain) == 1 and not issued_by(chain[0], chain[0]):
        found.append(
            msg(
                "the chain ends at the leaf: append the certificate of {issuer_of}",
                issuer_of=issuer_of(chain[0]),
            )
        )
    return tuple(found)


def validity(leaf: x509.Certificate, now: datetime) -> tuple[str, ...]:
    """Why `leaf` is not valid at `now`: expired, or not yet begun, which is mostly a wrong clock."""
    if leaf.not_valid_after_utc <= now:
        return (msg("it expired on {moment}", moment=moment(leaf.not_valid_after_utc)),)
    if leaf.not_valid_before_utc > now + _SLOW_CLOCK:
        begins = moment(leaf.not_valid_before_utc)
        return (
            msg(
                "it is not valid before {begins}, and this host's clock says {moment}: is it right?",
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
            "it is for {have} and not for {lacking}",
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
