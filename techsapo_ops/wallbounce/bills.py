"""What is booked for a call: the vendor's own bill, where it tells one that can be."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal

FAR_OFF = 2.0
"""From this many times more or less than our own sum on, a bill is told of."""
SMALLEST = 0.001
"""USD below which nobody minds a difference."""

Oddity = Literal["higher", "lower", "absurd"]


@dataclass(frozen=True, slots=True)
class Bill:
    """What a call is booked at. `odd` says how the vendor's word differs from our sum, where it does much.

    `absurd` is what no call can cost (below 0, no number, more than `most`): that is not believed.
    """

    usd: float
    odd: Oddity | None = None


def bill_of(told: Any, counted: float, most: float) -> Bill:
    """The bill of a call. `told` is what the vendor says that it charges, None where it says nothing.

    `counted` is our own sum by price and tokens, which the vendor counts too; `most` is what no call of this
    size can cost.
    """
    if told is None:
        return Bill(counted) if counted <= most else Bill(most, "absurd")
    counted = min(counted, most)
    if isinstance(told, bool) or not isinstance(told, int | float) or not _finite(told) or told < 0:
        return Bill(counted, "absurd")
    if told > most:
        return Bill(most, "absurd")
    usd = float(told)
    if abs(usd - counted) < SMALLEST:
        return Bill(usd)
    if usd > counted * FAR_OFF:
        return Bill(usd, "higher")
    return Bill(usd, "lower" if usd * FAR_OFF < counted else None)


def _finite(number: float) -> bool:
    try:
        return isfinite(number)
    except OverflowError:  # a whole number beyond what a float holds is too much, and not endless
        return True
