"""The key that the app's instances share and no other service has, and what is made with it.

It seals what is kept in Redis, proves that a request is a drill's, and makes the digests by which the audit
log tells the same question again without holding it.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from techsapo_ops.adapters.files import make_once
from techsapo_ops.adapters.mac import Stamps, mac
from techsapo_ops.errors import OpsError

log = logging.getLogger("techsapo.key")

_BYTES = 24
_STORED_ANSWER = "kept answer"
_PROMPT_HASH = "prompt hash"
_DRILL = "drill"


def shared_key(path: Path) -> bytes | None:
    """The key in `path`, which `up` makes; made here where the app runs without it. None where it can't be.

    Of several instances that make it at once one does.
    """
    try:
        path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        make_once(path, secrets.token_hex(_BYTES).encode())
        key = path.read_text(encoding="ascii").strip().encode()
    except (OSError, OpsError, UnicodeDecodeError) as error:
        log.warning(
            "The key that all instances share can't be read; this one seals what it keeps by its own",
            extra={"file": str(path), "error": str(error)},
        )
        return None
    return key or None


class Forged(Exception):
    """A value that was not sealed with this key for this place: foreign, altered or moved."""


class Seal:
    """Seals values with `key`, which the store that they are kept in does not know; `now` tells seconds since
    1970. So who writes there without the key is noticed.

    The MAC is over the key under which the value lies, the time at which it ends, and the value: none can be
    altered, moved to another question, or kept for longer.
    """

    def __init__(self, key: bytes, now: Callable[[], float] = time.time) -> None:
        self._stamps = Stamps(key, _STORED_ANSWER, now)

    def closed(self, place: str, value: bytes, ttl: float) -> bytes:
        """`value` as it is kept at `place` for `ttl` seconds."""
        return b"%s\n%s" % (self._stamps.made(ttl, place, value).encode(), value)

    def opened(self, place: str, sealed: bytes) -> bytes | None:
        """The value that was sealed for `place`; None where its time is over. Raises Forged."""
        stamp, _, value = sealed.partition(b"\n")
        left = self._stamps.left(stamp.decode("ascii", errors="replace"), place, value)
        if left is None:
            raise Forged
        return value if left > 0 else None


DRILL_HEADER = "X-Techsapo-Drill"
DRILL_LIFE = 120.0
"""Seconds for which a proof is made."""
MOST_DRILL_LIFE = 600.0
"""Seconds ahead for which one is taken, whatever it says: the clocks of two hosts differ."""


class DrillSeal:
    """Makes and checks the proofs of drills by `key`; `now` tells seconds since 1970.

    A proof is over method, path, id and body of the request. Who has that of one request may send that
    request again, which changes nothing; they can make no other.
    """

    def __init__(self, key: bytes, now: Callable[[], float] = time.time) -> None:
        self._stamps = Stamps(key, _DRILL, now)

    def proof(self, method: str, path: str, request_id: str, body: bytes = b"") -> str:
        """The value of HEADER for one request."""
        return self._stamps.made(DRILL_LIFE, method, path, request_id, body)

    def holds(self, proof: str, method: str, path: str, request_id: str, body: bytes = b"") -> bool:
        """Whether `proof` was made for this request by this key, and its time is not over."""
        left = self._stamps.left(proof, method, path, request_id, body)
        return left is not None and 0 <= left <= MOST_DRILL_LIFE


_ID_DIGITS = 8
_DIGITS = 52
"""Hexadecimal digits, 208 bits: all in all as many characters as a SHA-256, for which the column was made."""


class PromptHash:
    """Digests of prompts by `key`, which the database does not hold; without one by a key of this process.

    A plain SHA-256 would tell whoever reads the rows which of the questions that they can think of were
    asked. `k1.KEY.DIGEST` says the form, by which key, and the HMAC-SHA-256.
    """

    def __init__(self, key: bytes | None) -> None:
        self._key = key or secrets.token_bytes(32)
        self._id = mac(self._key, _PROMPT_HASH, "id").hex()[:_ID_DIGITS]

    def of(self, prompt: str) -> str:
        """The digest of `prompt`, 64 characters."""
        made = mac(self._key, _PROMPT_HASH, "prompt", prompt).hex()
        return f"k1.{self._id}.{made[:_DIGITS]}"
