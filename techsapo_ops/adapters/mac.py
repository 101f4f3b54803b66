"""Message authentication codes: HMAC-SHA-256 (RFC 2104), of parts that can't be taken for one another."""

from __future__ import annotations

import hashlib
import hmac


def mac(key: bytes, purpose: str, *parts: bytes | str) -> bytes:
    """The code of `parts` by `key`, 32 bytes.

    `purpose` keeps what one key is used for apart. Each part goes with its length: no two lists of parts
    have the same code.
    """
    made = hmac.new(key, digestmod=hashlib.sha256)
    for part in (purpose, *parts):
        data = part.encode(errors="surrogatepass") if isinstance(part, str) else part
        made.update(b"%d " % len(data))
        made.update(data)
    return made.digest()


def same(given: str, expected: str) -> bool:
    """Whether both are the same; how long that takes tells nothing of `expected`."""
    return hmac.compare_digest(given.encode(errors="surrogatepass"), expected.encode())
