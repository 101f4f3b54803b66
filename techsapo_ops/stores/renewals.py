"""Renews locks beside the event loop that works under them: one that is busy must not lose them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from techsapo_ops.stores.redis_link import Away, RedisLink

if TYPE_CHECKING:
    from redis.asyncio import Redis

RENEW = 0.5
"""Seconds between two renewals of all that is held."""
STALLED = 10.0
"""Seconds for which an event loop may stand still and its locks are renewed all the same. One that stands
still for longer may never go on, and others wait for what it holds."""
_RENEW = (
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end "
    "return redis.call('PEXPIRE', KEYS[1], ARGV[2])"
)


@dataclass(frozen=True, slots=True)
class _Renewed:
    """A lock: its name and token, its life in seconds, and what hears in `home` that another has it."""

    name: str
    token: str
    life: float
    lost: Callable[[], None]
    home: asyncio.AbstractEventLoop


class Renewals:
    """Keeps the locks of this process, in a thread with an event loop and a connection of its own.

    Requests queue for the connections that they share, and leave Redis alone for seconds after an error:
    a renewal that did so would come after the lock's end.
    """

    def __init__(self, connect: Callable[[], RedisLink]) -> None:
        self._connect = connect
        self._thread: threading.Thread | None = None
        self._ending = False
        self._wake: Callable[[], object] = lambda: None
        self._renewed: set[_Renewed] = set()
        self._guard = threading.Lock()
        self._moved = 0.0
        self._beats_in: asyncio.AbstractEventLoop | None = None

    def keep(self, name: str, token: str, life: float, lost: Callable[[], None]) -> Callable[[], None]:
        """Renew the lock `name`, which was taken with `token` just now, until what this gives is called.

        `lost` is called in the loop of the caller, once or more, where another one has it by then.
        """
        entry = _Renewed(name, token, life, lost, asyncio.get_running_loop())
        with self._guard:
            self._renewed.add(entry)
        if self._beats_in is not entry.home:
            self._beat(entry.home)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="lock renewals", daemon=True)
            self._thread.start()

        def end() -> None:
            with self._guard:
                self._renewed.discard(entry)

        return end

    async def close(self) -> None:
        """End the thread, and give its connection back."""
        self._ending = True
        self._wake()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _beat(self, home: asyncio.AbstractEventLoop) -> None:
        """Note that the loop moves, as long as it holds anything."""
        self._moved = time.monotonic()
        self._beats_in = home if self._renewed else None
        if self._renewed:
            home.call_later(RENEW, self._beat, home)

    def _run(self) -> None:
        asyncio.run(self._renew_all())

    async def _renew_all(self) -> None:
        link, loop, woken = self._connect(), asyncio.get_running_loop(), asyncio.Event()
        self._wake = lambda: loop.call_soon_threadsafe(woken.set)
        try:
            while not self._ending:
                with suppress(TimeoutError):
                    async with asyncio.timeout(RENEW):
                        await woken.wait()
                with self._guard:
                    entries = tuple(self._renewed)
                if entries and time.monotonic() - self._moved < STALLED:
                    with suppress(Away):  # a lock may end, and another instance do the work once more
                        await _renew(link, entries)
        finally:
            await link.close()


async def _renew(link: RedisLink, entries: tuple[_Renewed, ...]) -> None:
    async def work(redis: Redis) -> list[Any]:
        pipe = redis.pipeline(transaction=False)
        for each in entries:
            pipe.eval(_RENEW, 1, each.name, each.token, str(int(each.life * 1000)))
        return list(await pipe.execute())

    for each, mine in zip(entries, await link.insist(work, "release"), strict=True):
        if not mine:
            with suppress(RuntimeError):  # its loop has ended
                each.home.call_soon_threadsafe(each.lost)
