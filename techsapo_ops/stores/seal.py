"""What the app keeps in Redis carries a MAC, so that who writes there without the app's key is noticed.

The MAC is over the key under which the value lies, the time at which it ends, and the value: none can be
altered, moved to another question, or kept for longer.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from techsapo_ops.adapters.mac import Stamps

_PURPOSE = "kept answer"


class Forged(Exception):
    """A value that was not sealed with this key for this place: foreign, altered or moved."""


class Seal:
    """Seals values with `key`, which the store that they are kept in does not know; `now` tells seconds since
    1970.
    """

    def __init__(self, key: bytes, now: Callable[[], float] = time.time) -> None:
        self._stamps = Stamps(key, _PURPOSE, now)

    def closed(self, place: str, value: bytes, ttl: float) -> bytes:
        """`value` as it is kept at `place` for `ttl` seconds."""
        return b"%s\n%s" % (self._stamps.made(ttl, place, value).encode(), value)

    def opened(self, place: str, kept: bytes) -> bytes | None:
        """The value that was sealed for `place`; None where its time is over. Raises Forged."""
        stamp, _, value = kept.partition(b"\n")
        left = self._stamps.left(stamp.decode("ascii", errors="replace"), place, value)
        if left is None:
            raise Forged
        return value if left > 0 else None
