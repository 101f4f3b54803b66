"""What the app keeps in Redis carries a MAC, so that who writes there without the app's key is noticed.

The MAC is over the version of the form, the key under which the value lies, the time at which it ends, and
the value: none can be altered, moved to another question, or kept for longer.
"""

from __future__ import annotations

import re
import time

from techsapo_ops.adapters.mac import mac, same

FORM = b"1"
"""Version of the form; another one is no seal of ours."""
_PURPOSE = "kept answer"
_SEAL = re.compile(rb"(?P<form>\d{1,3}) (?P<ends>\d{1,16}) (?P<mac>[0-9a-f]{64})\n")


class Forged(Exception):
    """A value that was not sealed with this key for this place: foreign, altered or moved."""


class Seal:
    """Seals values with `key`, which the store that they are kept in does not know."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def closed(self, place: str, value: bytes, ttl: float) -> bytes:
        """`value` as it is kept at `place` for `ttl` seconds."""
        ends = b"%d" % int((time.time() + ttl) * 1000)
        return b"%s %s %s\n%s" % (FORM, ends, self._mac(place, ends, value).encode(), value)

    def opened(self, place: str, kept: bytes) -> bytes | None:
        """The value that was sealed for `place`; None where its time is over. Raises Forged."""
        found = _SEAL.match(kept)
        if found is None or found["form"] != FORM:
            raise Forged
        value = kept[found.end() :]
        if not same(found["mac"].decode(), self._mac(place, found["ends"], value)):
            raise Forged
        return value if int(found["ends"]) > time.time() * 1000 else None

    def _mac(self, place: str, ends: bytes, value: bytes) -> str:
        return mac(self._key, _PURPOSE, FORM, place, ends, value).hex()
