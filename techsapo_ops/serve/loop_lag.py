"""Time in which the event loop did not run: something blocked it, or the machine gave it no turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

TICK = 0.25
"""Seconds between two looks."""
STALL = 0.1
"""Seconds of delay that are more than a busy loop's, and for which what has come meanwhile is worked off."""


class LoopLag:
    """How late the loop comes to a timer of its own, summed up. `count` is told of each delay, in seconds."""

    def __init__(
        self, count: Callable[[float], None], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._count = count
        self._clock = clock
        self._over = 0.0
        self._due: float | None = None
        self._stall = self._ended = 0.0

    async def watch(self, pause: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Look at the clock until cancelled."""
        try:
            while True:
                self._due = self._clock() + TICK
                await pause(TICK)
                late = self._late()
                self._over += late
                self._count(late)
                if late > STALL:
                    self._stall, self._ended = late, self._clock()
        finally:
            self._due = None

    def running(self) -> float:
        """Seconds on a clock that stands still while the loop does.

        What waits for somebody else while the loop is blocked waits for us.
        """
        return self._clock() - self._over - self._late()

    def missed(self) -> float:
        """How long whoever comes now may have waited for the loop: all of a delay that has just ended.

        Within it, nobody knows when a request came. Without this a blocked loop would look quick.
        """
        late = self._late()
        if late > STALL:
            return late
        return self._stall if self._clock() - self._ended < STALL else 0.0

    def _late(self) -> float:
        """How late the next look is by now: whoever comes to run before it is told of the delay, too."""
        return 0.0 if self._due is None else max(0.0, self._clock() - self._due)
