"""Requests a minute, counted in Redis for all instances, in this process while there is none."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from techsapo_ops.adapters.redis import RedisServer
from techsapo_ops.adapters.streaks import OnOperation, Streaks, uncounted
from techsapo_ops.stores.redis_connections import prepared
from techsapo_ops.stores.redis_link import pause_after
from techsapo_ops.stores.redis_pool import SHARED_TIMEOUT, pool

if TYPE_CHECKING:
    from limits.aio.storage import Storage

log = logging.getLogger("techsapo.limits")


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
        self._failover = server is not None and server.sentinels is not None
        self._shared = Window(self._redis) if self._redis is not None else None
        self._on_operation = on_operation
        self._paused_until = 0.0
        self._streaks = Streaks()

    async def hit(self, caller: str, per_minute: int) -> Allowance:
        """Count one request of `caller`, where it is allowed."""
        from limits import RateLimitItemPerMinute

        item = RateLimitItemPerMinute(per_minute)
        return await self._ask_redis(item, caller) or await _ask(self._here, item, caller)

    async def try_again(self) -> None:
        """Count a request of nobody, where Redis refused to count the last one."""
        from limits import RateLimitItemPerMinute

        if self._streaks.failing:
            # So many that it is always allowed: one that is not, writes nothing.
            await self._ask_redis(RateLimitItemPerMinute(1_000_000), ":trial")

    async def _ask_redis(self, item: Any, caller: str) -> Allowance | None:
        """What Redis says; None where there is none, or it fails."""
        from redis import RedisError

        if self._shared is None or time.monotonic() < self._paused_until:
            return None
        try:
            allowance = await _ask(self._shared, item, caller)
        except (RedisError, OSError) as error:
            self._paused_until = time.monotonic() + pause_after(error, failover=self._failover)
            self._on_operation("write", False)
            if self._streaks.note("write", ok=False):
                cause = " ".join(str(error).split())[:200] or type(error).__name__
                log.warning(
                    "Redis is not available; requests are counted by each instance", extra={"error": cause}
                )
            return None
        self._on_operation("write", True)
        self._streaks.note("write", ok=True)
        return allowance

    async def close(self) -> None:
        """Give the connections back."""
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
