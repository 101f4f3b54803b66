"""Message authentication codes: HMAC-SHA-256 (RFC 2104), of parts that can't be taken for one another."""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable

_STAMP = re.compile(r"1 (?P<ends>\d{1,16}) (?P<mac>[0-9a-f]{64})")


def mac(key: bytes, purpose: str, *parts: bytes | str) -> bytes:
    """The code of `parts` by `key`, 32 bytes.

    `purpose` keeps what one key is used for apart. Each part goes with its length: no two lists of parts
    have the same code.
    """
    data = (
        part.encode(errors="surrogatepass") if isinstance(part, str) else part for part in (purpose, *parts)
    )
    return hmac.digest(key, b"".join(b"%d %b" % (len(part), part) for part in data), "sha256")


def same(given: str, expected: str) -> bool:
    """Whether both are the same; how long that takes tells nothing of `expected`."""
    return hmac.compare_digest(given.encode(errors="surrogatepass"), expected.encode())


class Stamps:
    """Proofs, for one `purpose` and by `key`, that hold until a time: `1 MILLISECONDS MAC`.

    The code is over that time too: nobody without the key makes one last longer. `now` tells seconds since
    1970.
    """

    def __init__(self, key: bytes, purpose: str, now: Callable[[], float] = time.time) -> None:
        self._key = key
        self._purpose = purpose
        self._now = now

    def made(self, seconds: float, *parts: bytes | str) -> str:
        """The stamp of `parts`, for so many seconds from now on."""
        return self._of(str(int((self._now() + seconds) * 1000)), parts)

    def left(self, stamp: str, *parts: bytes | str) -> float | None:
        """For how many seconds from now on `stamp`, which is of `parts`, holds: 0 or less where its time is
        over. None where it is none of ours, or of something else.
        """
        read = _STAMP.fullmatch(stamp)
        if read is None or not same(stamp, self._of(read["ends"], parts)):
            return None
        return int(read["ends"]) / 1000 - self._now()

    def _of(self, ends: str, parts: tuple[bytes | str, ...]) -> str:
        return f"1 {ends} {mac(self._key, self._purpose, ends, *parts).hex()}"
