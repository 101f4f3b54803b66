"""What of a request's time is ours: until its stream begins to tell, or all but the wait for vendors.

Time in which the event loop did not run is ours too: something blocked it, or the machine gave it no turn.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from starlette.types import Scope

from techsapo_ops.wallbounce.context import VendorWait

_STATE = "own_time"


@dataclass(slots=True)
class OwnTime:
    """The time of one request, from its coming on."""

    clock: Callable[[], float] = time.perf_counter
    wait: VendorWait | None = None
    """How long its analysis waited for vendors; None where it came to none."""
    elsewhere: bool = False
    """Whether it waits for what another request has begun: the time is that one's."""
    missed: float = 0.0
    """How long the event loop had not run when it came."""
    _started: float = field(init=False)
    _began: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._started = self.clock() - self.missed

    @classmethod
    def of(cls, scope: Scope) -> OwnTime:
        """That of the request of `scope`; one that nobody asks for where none was begun."""
        state = scope.setdefault("state", {})
        own_time: OwnTime = state.setdefault(_STATE, cls())
        return own_time

    @classmethod
    def begin(cls, scope: Scope, missed: float) -> OwnTime:
        """That of a request that is seen now, after the event loop did not run for `missed` seconds."""
        begun = scope["state"][_STATE] = cls(missed=missed)
        return begun

    def first_event(self) -> None:
        """The stream that answers it has its first event."""
        if self._began is None:
            self._began = self.clock()

    def seconds(self) -> float | None:
        """Our part until now; None where it is another request's."""
        if self.elsewhere:
            return None
        if self._began is not None:
            return self._began - self._started
        waited = self.wait.seconds() if self.wait is not None else 0.0
        return max(0.0, self.clock() - self._started - waited)


TICK = 0.25
"""Seconds between two looks."""
STALL = 0.1
"""Seconds of delay that are more than a busy loop's, and for which what has come meanwhile is worked off."""


class LoopLag:
    """How late the loop comes to a timer of its own, summed up. `count` gets each delay, in seconds."""

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
