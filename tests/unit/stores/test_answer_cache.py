from __future__ import annotations

import asyncio
import time

import pytest
from servers import free_port

from techsapo_ops.adapters.redis import RedisServer
from techsapo_ops.stores.cache import AnswerCache, MemoryCache


def test_a_value_is_gone_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = MemoryCache()
    cache.set("a", b"1", ttl=10)
    assert cache.get("a") == b"1"
    later = time.monotonic() + 11
    monkeypatch.setattr("techsapo_ops.stores.cache.time.monotonic", lambda: later)
    assert cache.get("a") is None
    assert len(cache) == 0


def test_what_was_not_used_for_longest_makes_room() -> None:
    cache = MemoryCache(max_entries=2)
    cache.set("a", b"1", 10)
    cache.set("b", b"2", 10)
    cache.get("a")
    cache.set("c", b"3", 10)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (b"1", None, b"3")


def test_the_size_in_bytes_is_bounded_too() -> None:
    cache = MemoryCache(max_bytes=10)
    cache.set("a", b"12345", 10)
    cache.set("a", b"1234567", 10)
    cache.set("b", b"123456", 10)
    assert (cache.get("a"), cache.get("b")) == (None, b"123456")
    cache.set("c", b"x" * 11, 10)
    assert (cache.get("b"), cache.get("c")) == (b"123456", None)


def test_a_redis_that_is_not_there_costs_no_caller_anything() -> None:
    async def main() -> None:
        cache = AnswerCache(RedisServer("127.0.0.1", free_port()), "t:")
        assert await cache.get("k") is None
        await cache.set("k", b"v", 10)
        assert await cache.get("k") == b"v"
        assert cache.consecutive_errors == 1  # the pause keeps it from being asked again and again
        status = await cache.check()
        # A PING proves a PING alone, whether it succeeds or fails.
        assert (status.in_use, status.healthy, status.consecutive_errors) == ("memory", False, 1)
        await cache.close()

    asyncio.run(main())
