"""The proof that a request is a drill's: made with the app's key, for that one request, for some minutes.

Who has the proof of one request may send that request again, which changes nothing; they can make no other.
It is over the version of the form, the end of its time, method, path, id and body of the request.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from techsapo_ops.adapters.mac import mac, same

FORM = "1"
"""Version of the form; another one proves nothing."""
HEADER = "X-Techsapo-Drill"
LIFE = 120.0
"""Seconds for which a proof is made."""
MOST_LIFE = 600.0
"""Seconds ahead for which one is taken, whatever it says: the clocks of two hosts differ."""
_PURPOSE = "drill"
_PROOF = re.compile(r"1 (?P<ends>\d{1,12}) (?P<mac>[0-9a-f]{64})")


class DrillSeal:
    """Makes and checks the proofs of drills by `key`; `now` tells seconds since 1970."""

    def __init__(self, key: bytes, now: Callable[[], float] = time.time) -> None:
        self._key = key
        self._now = now

    def proof(self, method: str, path: str, request_id: str, body: bytes = b"") -> str:
        """The value of HEADER for one request."""
        ends = int(self._now() + LIFE)
        return f"{FORM} {ends} {self._mac(ends, method, path, request_id, body)}"

    def holds(self, proof: str, method: str, path: str, request_id: str, body: bytes = b"") -> bool:
        """Whether `proof` was made for this request by this key, and its time is not over."""
        found = _PROOF.fullmatch(proof)
        if found is None:
            return False
        ends = int(found["ends"])
        if not self._now() <= ends <= self._now() + MOST_LIFE:
            return False
        return same(found["mac"], self._mac(ends, method, path, request_id, body))

    def _mac(self, ends: int, method: str, path: str, request_id: str, body: bytes) -> str:
        return mac(self._key, _PURPOSE, FORM, str(ends), method, path, request_id, body).hex()
