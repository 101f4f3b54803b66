"""Locks that are renewed beside the event loop that works under them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from techsapo_ops.stores import locks
from techsapo_ops.stores.locks import Renewals

LIFE = 0.5


class Link:
    """A Redis that has one lock, which lapses."""

    def __init__(self) -> None:
        self.holder = "mine"
        self.until = time.monotonic() + LIFE
        self.closed = False
        self.asked: list[str] = []

    @property
    def held(self) -> bool:
        return time.monotonic() < self.until

    async def insist(self, work: Callable[[Any], Awaitable[Any]], operation: str) -> Any:
        return await work(self)

    def pipeline(self, *, transaction: bool) -> Link:
        self.asked = []
        return self

    def eval(self, script: str, keys: int, name: str, token: str, life: str) -> None:
        self.asked.append(token)
        if self.held and token == self.holder:
            self.until = time.monotonic() + int(life) / 1000

    async def execute(self) -> list[int]:
        return [int(self.held and token == self.holder) for token in self.asked]

    async def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "RENEW", 0.02)


def under_lock(work: Callable[[asyncio.Event], Awaitable[None]]) -> Link:
    """Do `work`, which is told when the lock is lost, and look at what became of the lock."""
    link = Link()

    async def main() -> None:
        renewed, lost = Renewals(lambda: link), asyncio.Event()
        end = renewed.keep("lock", "mine", LIFE, lost.set)
        await work(lost)
        end()
        await renewed.close()

    asyncio.run(main())
    assert link.closed
    return link


def test_a_loop_that_stands_still_loses_no_lock() -> None:
    async def work(lost: asyncio.Event) -> None:
        await asyncio.sleep(0.1)
        time.sleep(3 * LIFE)  # noqa: ASYNC251 - as code that takes the processor
        await asyncio.sleep(0.1)
        assert not lost.is_set()

    assert under_lock(work).held


def test_a_loop_that_is_stuck_lets_others_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "STALLED", 0.1)

    async def work(lost: asyncio.Event) -> None:
        await asyncio.sleep(0.1)
        time.sleep(3 * LIFE)  # noqa: ASYNC251
        async with asyncio.timeout(60):
            await lost.wait()  # it moves again, and hears of it

    assert not under_lock(work).held


def test_it_is_told_in_the_loop_of_the_work_that_another_has_the_lock() -> None:
    link = Link()
    link.holder = "another"

    async def main() -> None:
        renewed, lost = Renewals(lambda: link), asyncio.Event()
        renewed.keep("lock", "mine", LIFE, lost.set)
        async with asyncio.timeout(60):
            await lost.wait()
        await renewed.close()

    asyncio.run(main())
