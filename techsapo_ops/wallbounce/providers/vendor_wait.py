"""How long an analysis waited for vendors, and whether it gave one up."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class VendorWait:
    """Seconds, as `clock` counts them, in which at least one call to a vendor was under way.

    Calls at the same time count once: it is what the analysis, and who waits for it, can't do anything about.
    `cut_off` says that the end of a phase cut a call off: there the analysis waited as long as it may.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.cut_off = False
        self._clock = clock
        self._under_way = 0
        self._since = 0.0
        self._over = 0.0

    @contextmanager
    def lasts(self) -> Iterator[None]:
        """A vendor is waited for within the block."""
        if not self._under_way:
            self._since = self._clock()
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._over += self._clock() - self._since

    def seconds(self) -> float:
        """How long until now."""
        return self._over + (self._clock() - self._since if self._under_way else 0.0)
