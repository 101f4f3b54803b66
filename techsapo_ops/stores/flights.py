"""Identical questions under way are one analysis: whoever comes later gets on board."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

T = TypeVar("T")
E = TypeVar("E")


class Flight(Generic[T, E]):
    """One piece of work that several wait for: its result T, its events E until then.

    It is cancelled when the last of them goes, unless it is to go on `to_its_end`.
    """

    def __init__(self) -> None:
        self.task: asyncio.Task[T] | None = None
        self.waiting = 0
        self.to_its_end = False
        self.events: list[E] = []
        self._changed = asyncio.Event()

    def tell(self, event: E) -> None:
        """Add an event for whoever follows, now or later."""
        self.events.append(event)
        self._changed.set()

    def end(self) -> None:
        """There will be no further event."""
        self._changed.set()

    async def follow(self) -> AsyncIterator[E]:
        """Every event from the first one on, until the work is done."""
        seen = 0
        while True:
            while seen < len(self.events):
                seen += 1
                yield self.events[seen - 1]
            if self.task is None or self.task.done():
                return
            self._changed.clear()
            await self._changed.wait()

    async def result(self) -> T:
        """The work's result; to be awaited while aboard."""
        assert self.task is not None  # noqa: S101 - set as soon as there is a flight
        return await asyncio.shield(self.task)

    async def cancelled(self) -> None:
        """Wait until work that was cancelled, as the last one left, has ended."""
        if self.task is not None and self.task.cancelling():
            await asyncio.wait({self.task})

    @contextmanager
    def aboard(self) -> Iterator[None]:
        """Keep the work going; when the last one leaves, unfinished work is cancelled or goes on alone."""
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1
            if self.waiting == 0 and self.task is not None and not (self.task.done() or self.to_its_end):
                self.task.cancel()


class Flights(Generic[T, E]):
    """Work under way by key, in this process."""

    def __init__(self) -> None:
        self._under_way: dict[str, Flight[T, E]] = {}

    def board(self, key: str, work: Callable[[Flight[T, E]], Awaitable[T]]) -> tuple[Flight[T, E], bool]:
        """The flight of `key`, and whether `work` was started for it just now."""
        flight = self._under_way.get(key)
        if flight is not None and flight.task is not None and not flight.task.cancelling():
            return flight, False
        flight = Flight[T, E]()
        flight.task = asyncio.create_task(self._fly(key, flight, work))
        flight.task.add_done_callback(_looked_at)
        self._under_way[key] = flight
        return flight, True

    async def _fly(self, key: str, flight: Flight[T, E], work: Callable[[Flight[T, E]], Awaitable[T]]) -> T:
        try:
            return await work(flight)
        finally:
            if self._under_way.get(key) is flight:
                del self._under_way[key]
            asyncio.get_running_loop().call_soon(flight.end)


def _looked_at(task: asyncio.Task[Any]) -> None:
    """Take note of a failure that nobody waits for any more; those who do hear of it themselves."""
    if not task.cancelled():
        task.exception()
