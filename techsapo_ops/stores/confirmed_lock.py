"""A lock, and what is written under it, in a Redis that another one may take over from."""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from techsapo_ops.stores.flights import Held, SharedLock
from techsapo_ops.stores.redis_link import RedisLink

FAILOVER_LIFE = 8.0
"""Seconds after which the lock of an instance that died is free. A failover, in which nobody can renew one,
is over by then: who goes on with its work must not find that another one took it over meanwhile."""
_TAKE = (
    "local now = redis.call('GET', KEYS[1]) if now and now ~= ARGV[1] then return 0 end "
    "redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1"
)
_READ = (
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return {0} end return {1, redis.call(ARGV[2], KEYS[2])}"
)
_KEEP = (
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end "
    "redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3]) return 1"
)


class ConfirmedLock(SharedLock):
    """A lock that is nobody's until replicas know whose it is, so that a failover keeps it.

    A master that was cut off from its replicas gives none. What is read under it is read where it is held:
    another connection may still lead to the last master.
    """

    confirms = True
    life = FAILOVER_LIFE

    @override
    async def _take(self, held: Held) -> bool:
        """Whether the lock is ours now. Raises Unconfirmed."""
        life = str(int(self.life * 1000))
        return bool(await self._link.confirmed(lambda pipe: pipe.eval(_TAKE, 1, held.name, held.token, life)))

    async def read(self, held: Held, place: str, command: str = "GET") -> Any:
        """What is at `place`; None, and the lock is lost, where it is not ours. Raises Unconfirmed."""
        return await read_under(self._link, held, place, command)

    async def keep(self, held: Held, place: str, value: bytes, ttl: float) -> bool:
        """Keep `value` at `place` for `ttl` seconds; False where the lock is not ours. Raises Unconfirmed."""
        life = str(max(1, int(ttl * 1000)))
        return bool(
            await self._link.confirmed(
                lambda pipe: pipe.eval(_KEEP, 2, held.name, place, held.token, value, life)
            )
        )


async def read_under(link: RedisLink, held: Held, place: str, command: str) -> Any:
    """What `command` (GET, HGETALL) answers of `place` where `held` is held; see ConfirmedLock.read."""
    mine, *rest = await link.confirmed(
        lambda pipe: pipe.eval(_READ, 2, held.name, place, held.token, command), "read"
    )
    if not mine:
        held.lost.set()
    return rest[0] if rest else None
