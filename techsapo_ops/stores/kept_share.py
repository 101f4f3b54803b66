"""How much one caller may have kept in Redis, so that there is room for what others keep there."""

from __future__ import annotations

import time
from collections.abc import Callable

from techsapo_ops.stores.redis_link import Away, RedisLink

PART = 8
"""A caller's share of Redis's memory is one of so many."""
_DAY = 86_400
_TAKE = (
    "local now = redis.call('INCRBY', KEYS[1], ARGV[1]) redis.call('EXPIRE', KEYS[1], ARGV[3]) "
    "if now <= tonumber(ARGV[2]) then return 1 end redis.call('DECRBY', KEYS[1], ARGV[1]) return 0"
)


class KeptShare:
    """`most` bytes of each caller in a day of UTC, whichever instance keeps them; 0 bounds nothing.

    What lasts a day is of two days at most, and so of twice as many bytes; likewise with another `life`, in
    seconds.
    """

    def __init__(
        self,
        link: RedisLink,
        prefix: str,
        most: int,
        now: Callable[[], float] = time.time,
        *,
        life: float = _DAY,
    ) -> None:
        self._link = link
        self._prefix = prefix
        self._most = most
        self._now = now
        self._life = max(1, int(life))

    async def takes(self, caller: str, size: int) -> bool:
        """Whether `size` bytes more of `caller` may be kept; they count then. "" is nobody told apart.

        While Redis is away, nothing is kept there, and all may be.
        """
        if not caller or not self._most:
            return True
        name = f"{self._prefix}{caller}:{int(self._now() // self._life)}"
        try:
            taken = await self._link.call(
                lambda redis: redis.eval(_TAKE, 1, name, str(size), str(self._most), str(self._life))
            )
        except Away:
            return True
        return bool(taken)
