"""Where answers are kept for reuse: Redis, with this process's memory behind it."""

from __future__ import annotations

import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from techsapo_ops.adapters.redis import RedisServer
from techsapo_ops.adapters.streaks import OnOperation, Operation, Streaks, uncounted
from techsapo_ops.messages import all_of, msg
from techsapo_ops.stores.redis_connections import prepared
from techsapo_ops.stores.redis_link import pause_after
from techsapo_ops.stores.redis_pool import pool
from techsapo_ops.stores.seal import Forged, Seal

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = logging.getLogger("techsapo.cache")

REDIS_TIMEOUT = 0.5
"""Longest time in seconds that a request waits for Redis."""
PAUSE = 1.0
"""Seconds for which Redis is not asked after an error, so that a dead one slows no request down."""


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
    tried again by itself; the first error and the recovery are logged, not each request. One that takes no
    writes is still read, and memory has what came since.

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
        self._on_operation = on_operation
        self._prefix = prefix
        self._where = str(server)
        self._redis: Redis | None = _connect(server) if server is not None else None
        self._failover = server is not None and server.sentinels is not None
        self._streaks = Streaks()
        self._last_error = ""
        self._paused_until = 0.0

    @property
    def shared(self) -> bool:
        """Whether other instances have the same values: a Redis is configured."""
        return self._redis is not None

    @property
    def reached(self) -> bool:
        """Whether Redis answered the last PING."""
        return self._redis is not None and "ping" not in self._streaks.failing

    @property
    def consecutive_errors(self) -> int:
        """Redis operations of one kind that failed in a row, the most of any kind."""
        return self._streaks.most

    @property
    def read_errors(self) -> int:
        """Reads that failed in a row."""
        return self._streaks.counts().get("read", 0)

    async def get(self, key: str) -> bytes | None:
        """The value of `key`, or None."""
        if self._redis is not None and time.monotonic() >= self._paused_until:
            from redis import RedisError

            try:
                value = await self._redis.get(self._prefix + key)
            except (RedisError, OSError) as error:
                self._failed("read", error)
            else:
                self._worked("read")
                kept = self._opened(self._prefix + key, value)
                if kept is not None or "write" not in self._streaks.failing:
                    return kept
        return self._memory.get(key)

    async def set(self, key: str, value: bytes, ttl: float) -> bool:
        """Keep `value` for `ttl` seconds; whether other instances have it."""
        if self._redis is not None and time.monotonic() >= self._paused_until:
            from redis import RedisError

            try:
                sealed = self._seal.closed(self._prefix + key, value, ttl)
                await self._redis.set(self._prefix + key, sealed, px=max(1, int(ttl * 1000)))
            except (RedisError, OSError) as error:
                self._failed("write", error)
            else:
                self._worked("write")
                return True
        self._memory.set(key, value, ttl)
        return False

    def place(self, key: str) -> str:
        """The name of `key` in Redis."""
        return self._prefix + key

    def closed(self, key: str, value: bytes, ttl: float) -> bytes:
        """`value` as it is kept there, for who writes it by another connection."""
        return self._seal.closed(self._prefix + key, value, ttl)

    def opened(self, key: str, kept: bytes | str | None) -> bytes | None:
        """What `closed` closed; None for anything else."""
        return self._opened(self._prefix + key, kept)

    async def check(self) -> CacheStatus:
        """Ask Redis whether it is there (also during a pause), and again for what it failed at, and say which
        cache is in use.
        """
        if self._redis is None:
            return CacheStatus("memory", True, msg("in-process: this stack runs no Redis"), 0)
        from redis import RedisError, ResponseError

        try:
            with suppress(ResponseError):  # it answers: after a failed save it refuses a PING as well
                await self._redis.ping()
        except (RedisError, OSError) as error:
            self._failed("ping", error)
            detail = msg("redis at {where}: {last_error}", where=self._where, last_error=self._last_error)
            return CacheStatus("memory", False, detail, self.consecutive_errors)
        self._worked("ping")
        await self.try_again()
        failing, detail = self._streaks.failing, msg("redis at {where}", where=self._where)
        if failing:
            detail += msg(
                " fails to {failing}: {last_error}",
                failing=all_of(sorted(failing)),
                last_error=self._last_error,
            )
        if "read" in failing:
            return CacheStatus("memory", False, detail, self.consecutive_errors)
        return CacheStatus("redis", not failing, detail, self.consecutive_errors)

    async def try_again(self) -> None:
        """Read or write a value of nobody, where Redis failed to do so: else that it does again would be
        known by the next question alone, and that it still does not, by the third.
        """
        if self._redis is None:
            return
        from redis import RedisError

        place = self._prefix + "trial"
        for operation in self._streaks.failing - {"ping"}:
            try:
                if operation == "read":
                    await self._redis.get(place)
                else:
                    await self._redis.set(place, b"", px=1000)
            except (RedisError, OSError) as error:
                self._failed(operation, error)
            else:
                self._worked(operation)

    async def close(self) -> None:
        """Give the connections back."""
        if self._redis is not None:
            await self._redis.aclose()

    def _opened(self, place: str, kept: bytes | str | None) -> bytes | None:
        if kept is None:
            return None
        try:
            return self._seal.opened(place, kept.encode() if isinstance(kept, str) else kept)
        except Forged:
            self._forged()
            log.warning(
                "A kept answer carries no seal of this stack; it is not used", extra={"redis_key": place}
            )
            return None

    def _failed(self, operation: Operation, error: Exception) -> None:
        self._on_operation(operation, False)
        self._last_error = " ".join(str(error).split())[:200] or type(error).__name__
        self._paused_until = time.monotonic() + min(PAUSE, pause_after(error, failover=self._failover))
        if self._streaks.note(operation, ok=False):
            log.warning(
                "Redis is not available; answers are cached in this process",
                extra={"redis": self._where, "operation": operation, "error": self._last_error},
            )

    def _worked(self, operation: Operation) -> None:
        self._on_operation(operation, True)
        if self._streaks.note(operation, ok=True):
            log.info("Redis is available again", extra={"redis": self._where})


def _connect(server: RedisServer) -> Redis:
    from redis.asyncio import Redis

    if server.sentinels is not None:
        return prepared(Redis.from_pool(pool(server, REDIS_TIMEOUT)))
    return prepared(Redis(ssl=server.tls, **server.client_options(REDIS_TIMEOUT)))
