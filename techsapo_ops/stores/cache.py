"""What is kept in Redis for reuse, with this process's memory behind it, and how much one caller may."""

from __future__ import annotations

import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from techsapo_ops.adapters.redis import RedisServer
from techsapo_ops.adapters.streaks import OnOperation, uncounted
from techsapo_ops.messages import all_of, msg
from techsapo_ops.stores.app_key import Forged, Seal
from techsapo_ops.stores.redis_link import Away, RedisLink

log = logging.getLogger("techsapo.cache")

REDIS_TIMEOUT = 0.5
"""Longest time in seconds that a request waits for Redis."""


class MemoryCache:
    """The most recently used values, in this process. `now` is a monotonic clock in seconds."""

    def __init__(self, max_entries: int = 1000, max_bytes: int = 16 * 1024**2) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        """The value of `key`, or None when there is none or its time is over."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= time.monotonic():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """Keep `value` for `ttl` seconds; what was not used for longest makes room."""
        if key in self._entries:
            self._drop(key)
        if len(value) > self._max_bytes:
            return
        # A copy, since orjson's value keeps the room that it was written into: up to four times its length.
        self._entries[key] = (time.monotonic() + ttl, bytes(memoryview(value)))
        self._bytes += len(value)
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    def __len__(self) -> int:
        return len(self._entries)

    def _drop(self, key: str) -> None:
        self._bytes -= len(self._entries.pop(key)[1])


CacheInUse = Literal["redis", "memory"]


@dataclass(frozen=True, slots=True)
class CacheStatus:
    """Which cache is in use, and why it is not Redis where it could be."""

    in_use: CacheInUse
    healthy: bool
    detail: str
    consecutive_errors: int


class AnswerCache:
    """Values by key with a time to live. Redis failing never fails a caller: memory takes over and Redis is
    tried again by itself. One that takes no writes is still read, and memory has what came since.

    In Redis each value is sealed; without a `seal` by a key of this process alone. One that is not by this
    seal is none, and `forged` hears of it.
    """

    def __init__(
        self,
        server: RedisServer | None,
        prefix: str,
        on_operation: OnOperation = uncounted,
        *,
        seal: Seal | None = None,
        forged: Callable[[], None] = lambda: None,
    ) -> None:
        self._seal = seal or Seal(secrets.token_bytes(32))
        self._forged = forged
        self._memory = MemoryCache()
        self._prefix = prefix
        self._link = RedisLink(server, prefix, on_operation, timeout=REDIS_TIMEOUT)

    @property
    def shared(self) -> bool:
        """Whether other instances have the same values: a Redis is configured."""
        return self._link.configured

    @property
    def reached(self) -> bool:
        """Whether Redis answered the last PING."""
        return self.shared and "ping" not in self._link.failing

    @property
    def consecutive_errors(self) -> int:
        """Redis operations of one kind that failed in a row, the most of any kind."""
        return self._link.streaks.most

    @property
    def read_errors(self) -> int:
        """Reads that failed in a row."""
        return self._link.streaks.counts().get("read", 0)

    async def get(self, key: str) -> bytes | None:
        """The value of `key`, or None."""
        place = self._prefix + key
        try:
            value = self._opened(place, await self._link.call(lambda redis: redis.get(place), "read"))
        except Away:
            return self._memory.get(key)
        if value is None and "write" in self._link.failing:
            return self._memory.get(key)
        return value

    async def set(self, key: str, value: bytes, ttl: float) -> bool:
        """Keep `value` for `ttl` seconds; whether other instances have it."""
        place = self._prefix + key
        try:
            await self._link.call(
                lambda redis: redis.set(
                    place, self._seal.closed(place, value, ttl), px=max(1, int(ttl * 1000))
                )
            )
        except Away:
            self._memory.set(key, value, ttl)
            return False
        return True

    def place(self, key: str) -> str:
        """The name of `key` in Redis."""
        return self._prefix + key

    def closed(self, key: str, value: bytes, ttl: float) -> bytes:
        """`value` as it is kept there, for who writes it by another connection."""
        return self._seal.closed(self._prefix + key, value, ttl)

    def opened(self, key: str, sealed: bytes | str | None) -> bytes | None:
        """What `closed` closed; None for anything else."""
        return self._opened(self._prefix + key, sealed)

    async def check(self) -> CacheStatus:
        """Ask Redis whether it is there (also during a pause), and again for what it failed at, and say which
        cache is in use.
        """
        link = self._link
        if not link.configured:
            return CacheStatus("memory", True, msg("in-process: this stack runs no Redis"), 0)
        if not await link.ping():
            detail = msg("redis at {where}: {last_error}", where=link.where, last_error=link.last_error)
            return CacheStatus("memory", False, detail, self.consecutive_errors)
        await self.try_again()
        failing, detail = link.failing, msg("redis at {where}", where=link.where)
        if failing:
            detail += msg(
                " fails to {failing}: {last_error}",
                failing=all_of(sorted(failing)),
                last_error=link.last_error,
            )
        in_use: CacheInUse = "memory" if "read" in failing else "redis"
        return CacheStatus(in_use, not failing, detail, self.consecutive_errors)

    async def try_again(self) -> None:
        """Read or write a value of nobody, where Redis failed to do so."""
        place = self._prefix + "trial"
        await self._link.try_again(
            {"read": lambda redis: redis.get(place), "write": lambda redis: redis.set(place, b"", px=1000)}
        )

    async def close(self) -> None:
        """Give the connections back."""
        await self._link.close()

    def _opened(self, place: str, sealed: bytes | str | None) -> bytes | None:
        if sealed is None:
            return None
        try:
            return self._seal.opened(place, sealed.encode() if isinstance(sealed, str) else sealed)
        except Forged:
            self._forged()
            log.warning(
                "A stored answer has no seal of this stack; it is not used", extra={"redis_key": place}
            )
            return None


PART = 8
"""A caller's share of Redis's memory is one of so many."""
_DAY = 86_400
_TAKE = (
    "local now = redis.call('INCRBY', KEYS[1], ARGV[1]) redis.call('EXPIRE', KEYS[1], ARGV[3]) "
    "if now <= tonumber(ARGV[2]) then return 1 end redis.call('DECRBY', KEYS[1], ARGV[1]) return 0"
)


@dataclass(frozen=True, slots=True)
class StorageShare:
    """`most` bytes of each caller in a day of UTC, whichever instance keeps them; 0 bounds nothing.

    What lasts a day is of two days at most, and so of twice as many bytes; likewise with another `life`, in
    seconds.
    """

    link: RedisLink
    prefix: str
    most: int
    now: Callable[[], float] = time.time
    life: float = _DAY

    async def takes(self, caller: str, size: int) -> bool:
        """Whether `size` bytes more of `caller` may be kept; they count then. "" is nobody told apart.

        While Redis is away, nothing is kept there, and all may be.
        """
        if not caller or not self.most:
            return True
        life = max(1, int(self.life))
        name = f"{self.prefix}{caller}:{int(self.now() // life)}"
        try:
            taken = await self.link.call(
                lambda redis: redis.eval(_TAKE, 1, name, str(size), str(self.most), str(life))
            )
        except Away:
            return True
        return bool(taken)
