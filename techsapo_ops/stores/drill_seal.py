"""The proof that a request is a drill's: made with the app's key, for that one request, for some minutes.

Who has the proof of one request may send that request again, which changes nothing; they can make no other.
It is over method, path, id and body of the request.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from techsapo_ops.adapters.mac import Stamps

HEADER = "X-Techsapo-Drill"
LIFE = 120.0
"""Seconds for which a proof is made."""
MOST_LIFE = 600.0
"""Seconds ahead for which one is taken, whatever it says: the clocks of two hosts differ."""
_PURPOSE = "drill"


class DrillSeal:
    """Makes and checks the proofs of drills by `key`; `now` tells seconds since 1970."""

    def __init__(self, key: bytes, now: Callable[[], float] = time.time) -> None:
        self._stamps = Stamps(key, _PURPOSE, now)

    def proof(self, method: str, path: str, request_id: str, body: bytes = b"") -> str:
        """The value of HEADER for one request."""
        return self._stamps.made(LIFE, method, path, request_id, body)

    def holds(self, proof: str, method: str, path: str, request_id: str, body: bytes = b"") -> bool:
        """Whether `proof` was made for this request by this key, and its time is not over."""
        left = self._stamps.left(proof, method, path, request_id, body)
        return left is not None and 0 <= left <= MOST_LIFE
