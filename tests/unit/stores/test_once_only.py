"""Work under a lock that another instance may take: it ends there, and what that one makes is the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from rows import each_row

from techsapo_ops.stores import locks
from techsapo_ops.stores.locks import Held, OtherWork, Renewals, SharedLock
from techsapo_ops.stores.redis_link import Away


class Redis:
    """The few commands of a lock, in memory, and a link to it."""

    configured = True

    def __init__(self) -> None:
        self.holder: str | None = None
        self.away = False

    async def call(self, work: Callable[[Any], Awaitable[Any]], operation: str = "write") -> Any:
        if self.away:
            raise Away
        return await work(self)

    insist = call

    def pipeline(self, *, transaction: bool) -> Pipeline:
        return Pipeline(self)

    async def close(self) -> None: ...

    async def set(self, name: str, token: str, *, nx: bool, px: int) -> bool:
        assert nx
        assert px == locks.LOCK_LIFE * 1000
        self.holder = self.holder or token
        return self.holder == token

    async def get(self, name: str) -> bytes | None:
        return self.holder.encode() if self.holder is not None else None

    async def eval(self, script: str, keys: int, name: str, token: str, *more: str) -> int:
        mine = self.holder == token
        if mine and "DEL" in script:
            self.holder = None
        return int(mine)


class Pipeline:
    """Commands that are carried out together."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.commands: list[tuple[Any, ...]] = []

    def eval(self, *command: Any) -> None:
        self.commands.append(command)

    async def execute(self) -> list[int]:
        return [await self.redis.eval(*command) for command in self.commands]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "RENEW", 0.01)
    monkeypatch.setattr(locks, "POLL", 0.01)


def once(
    redis: Redis, found: Callable[[], Awaitable[str | None]], work: Callable[[Held | None], Awaitable[str]]
) -> str:
    async def main() -> str:
        async with asyncio.timeout(60):
            renewed = Renewals(lambda: redis)
            try:
                return await SharedLock(redis, "lock:", renewed).run_once("k", "it", found, work)
            finally:
                await renewed.close()

    return asyncio.run(main())


async def nothing() -> str | None:
    return None


async def never(held: Held | None) -> str:
    raise AssertionError


def test_it_is_made_once_and_the_lock_given_back() -> None:
    redis = Redis()

    async def work(held: Held | None) -> str:
        assert held is not None
        assert redis.holder == held.token
        return "made"

    assert once(redis, nothing, work) == "made"
    assert redis.holder is None


def test_whose_lock_was_taken_ends_and_waits_for_what_the_other_makes() -> None:
    redis, ended, there = Redis(), [], dict[str, str]()

    async def found() -> str | None:
        return there.get("k")

    async def work(held: Held | None) -> str:
        redis.holder = "another"  # it stood still, and its lock lapsed
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(held)
            there["k"] = "the other's"
        raise AssertionError

    assert once(redis, found, work) == "the other's"
    assert len(ended) == 1
    assert redis.holder == "another", "a lock is given back by whom it is"


def test_what_is_there_by_then_is_not_made_again() -> None:
    redis = Redis()

    async def found() -> str | None:
        return "there"

    assert once(redis, found, never) == "there"
    assert redis.holder is None


def test_without_redis_it_is_made_here_and_a_failure_is_told() -> None:
    redis = Redis()
    redis.away = True

    async def work(held: Held | None) -> str:
        assert held is None
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        once(redis, nothing, work)


@each_row("holder", ["another something", "another it", "another"])
def test_whoever_does_something_else_is_not_waited_for(holder: str) -> None:
    redis, looks = Redis(), 0
    redis.holder = holder

    async def found() -> str | None:
        nonlocal looks
        looks += 1
        return "the other's" if looks == 3 else None

    if holder.endswith("something"):
        with pytest.raises(OtherWork):
            once(redis, found, never)
        assert looks == 1
    else:  # the same, or one of a version that does not say what it does
        assert once(redis, found, never) == "the other's"
    assert redis.holder == holder
