"""Who is cancelled while he sends a command to Redis ends, whenever that happens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import peers
import pytest
from redis.asyncio.connection import AbstractConnection
from rows import each_row

from techsapo_ops.adapters.redis import RedisServer
from techsapo_ops.stores.cache import AnswerCache
from techsapo_ops.stores.limits import RateLimiter
from techsapo_ops.stores.redis_link import RedisLink


def redis_that_says_ok(connection, over):
    """A Redis by its answers alone: well, to everything."""
    while data := connection.recv(65536):
        # Several commands may come in one packet; each begins with its array header.
        for _ in data.split(b"*")[1:]:
            connection.sendall(b"+OK\r\n")


def use_of_locks(server: RedisServer) -> Callable[[], Awaitable[Any]]:
    link = RedisLink(server, "locks")
    return lambda: link.call(lambda redis: redis.ping())


def use_of_answers(server: RedisServer) -> Callable[[], Awaitable[Any]]:
    cache = AnswerCache(server, "lab:")
    return lambda: cache.check()


def use_of_limits(server: RedisServer) -> Callable[[], Awaitable[Any]]:
    limiter = RateLimiter(server, "lab")
    return lambda: limiter.hit("somebody", 10)


@pytest.fixture
def at_the_worst_moment(monkeypatch: pytest.MonkeyPatch) -> list[asyncio.Task[Any]]:
    """Tasks that are cancelled when a command of theirs was sent, and they were not yet told."""
    chosen: list[asyncio.Task[Any]] = []
    sends = AbstractConnection._send_packed_command

    async def sent(self: Any, command: Any) -> None:
        await sends(self, command)
        while chosen:
            asyncio.get_running_loop().call_soon(chosen.pop().cancel)

    monkeypatch.setattr(AbstractConnection, "_send_packed_command", sent)
    return chosen


@each_row("use", [use_of_locks, use_of_answers, use_of_limits])
def test_a_task_that_is_cancelled_when_its_command_has_just_left_ends(
    use: Callable[[RedisServer], Callable[[], Awaitable[Any]]], at_the_worst_moment: list[asyncio.Task[Any]]
) -> None:
    async def main(port: int) -> bool:
        call = use(RedisServer("127.0.0.1", port))

        async def for_ever() -> None:
            while True:
                await call()
                await asyncio.sleep(0)

        task = asyncio.create_task(for_ever())
        at_the_worst_moment.append(task)
        await asyncio.wait({task}, timeout=5)
        ended = task.cancelled()
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=0.1)
        return ended

    with peers.peer(redis_that_says_ok) as port:
        assert asyncio.run(main(port))
