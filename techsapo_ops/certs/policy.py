"""When a certificate is to be renewed: by its own life, not by a calendar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from cryptography import x509

from techsapo_ops.certs.material import life

_SHORT = timedelta(days=10)
_JITTER = Fraction(1, 30)
"""Part of the life over which renewals are spread: what was made together does not renew together."""
_SPREAD = 10_000


@dataclass(frozen=True, slots=True)
class Window:
    """When the CA would like a certificate to be renewed (RFC 9773)."""

    start: datetime
    end: datetime


def share_left(total: timedelta) -> Fraction:
    """The part of a life that is left when renewal begins: a third, or half of at most ten days."""
    return Fraction(1, 2) if total <= _SHORT else Fraction(1, 3)


def renewal_time(leaf: x509.Certificate, window: Window | None = None) -> datetime:
    """When `leaf` is to be renewed.

    A third of its life before it ends (half where it lives for ten days or less), and up to a thirtieth
    earlier. `window`, the CA's wish, takes the place of that, wherever it lies: a time in the past means
    at once. The choice within either depends on the serial number alone, so every look gives the same.
    """
    part = Fraction(leaf.serial_number % _SPREAD, _SPREAD)
    if window is not None and (usable := _clipped(window, leaf)) is not None:
        return usable.start + (usable.end - usable.start) * float(part)
    total = life(leaf)
    return leaf.not_valid_after_utc - total * float(share_left(total) + _JITTER * part)


def _clipped(window: Window, leaf: x509.Certificate) -> Window | None:
    """The part of `window` in which `leaf` lives, None where that says nothing.

    A CA's fixed margins reach beyond the life of a certificate that lives for days or minutes, and "renew
    before it was issued" would order a new one at every look.
    """
    begins, ends = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if window.end < window.start or window.end <= begins or window.start >= ends:
        return None
    if life(leaf) <= _SHORT and window.start < begins:
        return None
    return Window(max(window.start, begins), min(window.end, ends))
