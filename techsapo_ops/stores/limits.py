"""Requests a minute, counted in Redis for all instances, in this process while there is none."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from techsapo_ops.adapters.redis import RedisServer
from techsapo_ops.adapters.streaks import OnOperation, uncounted
from techsapo_ops.stores.redis_link import Away, RedisLink
from techsapo_ops.stores.redis_pool import SHARED_TIMEOUT, pool, prepared

if TYPE_CHECKING:
    from limits.aio.storage import Storage


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a caller has left: `reset` is the Unix time at which the window has moved on."""

    allowed: bool
    limit: int
    remaining: int
    reset: float

    def headers(self) -> dict[str, str]:
        """The X-RateLimit headers; Retry-After where nothing is left."""
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(int(self.reset) + 1),
        }
        return headers if self.allowed else {**headers, "Retry-After": str(self.wait)}

    @property
    def wait(self) -> int:
        """Seconds until a request is allowed again, at least 1."""
        return max(1, int(self.reset - time.time()) + 1)


class RateLimiter:
    """A sliding window of a minute by caller. Redis failing never fails a caller: memory takes over."""

    def __init__(
        self, server: RedisServer | None, prefix: str, on_operation: OnOperation = uncounted
    ) -> None:
        from limits.aio.storage import MemoryStorage
        from limits.aio.strategies import SlidingWindowCounterRateLimiter as Window

        self._here = Window(MemoryStorage())
        self._redis = _storage(server, prefix) if server is not None else None
        self._shared = Window(self._redis) if self._redis is not None else None
        self._link = RedisLink(server, "rate limits", on_operation)  # its own connections stay unused

    async def hit(self, caller: str, per_minute: int) -> Allowance:
        """Count one request of `caller`, where it is allowed."""
        from limits import RateLimitItemPerMinute

        item = RateLimitItemPerMinute(per_minute)
        try:
            return await self._link.call(lambda _: _ask(self._shared, item, caller))
        except Away:
            return await _ask(self._here, item, caller)

    async def try_again(self) -> None:
        """Count a request of nobody, where Redis refused to count the last one."""
        from limits import RateLimitItemPerMinute

        # So many that it is always allowed: one that is not, writes nothing.
        most = RateLimitItemPerMinute(1_000_000)
        await self._link.try_again({"write": lambda _: _ask(self._shared, most, ":trial")})

    async def close(self) -> None:
        """Give the connections back."""
        await self._link.close()
        if self._redis is not None:
            client: Any = self._redis
            await client.bridge.storage.aclose()
            await client.bridge.storage.connection_pool.disconnect()


async def _ask(window: Any, item: Any, caller: str) -> Allowance:
    allowed = await window.hit(item, caller)
    stats = await window.get_window_stats(item, caller)
    return Allowance(bool(allowed), item.amount, max(0, int(stats.remaining)), float(stats.reset_time))


def _storage(server: RedisServer, prefix: str) -> Storage:
    from limits.aio.storage import RedisStorage

    if server.sentinels is None:
        options: dict[str, Any] = {
            "socket_timeout": SHARED_TIMEOUT,
            "socket_connect_timeout": SHARED_TIMEOUT,
            **server.login(),
        }
    else:
        options = {"connection_pool": pool(server, SHARED_TIMEOUT)}
    storage = RedisStorage(
        server.url("async+redis"),
        implementation="redispy",
        key_prefix=prefix,
        wrap_exceptions=False,
        **options,
    )
    bridge: Any = storage.bridge
    prepared(bridge.storage)
    return storage
