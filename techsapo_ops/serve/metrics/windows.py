"""Figures of the last five minutes, in a fixed amount of memory."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from itertools import accumulate

SLOT = 10.0
"""Seconds per slot."""
SLOTS = 30

Clock = Callable[[], float]


class Window:
    """Sums of rows of numbers over the last five minutes, in slots of ten seconds. Safe between threads."""

    def __init__(self, width: int, clock: Clock = time.monotonic) -> None:
        self._width = width
        self._clock = clock
        self._lock = threading.Lock()
        self._slots: dict[int, list[float]] = {}

    def add(self, *values: float) -> None:
        """Add one number to each of the sums."""
        with self._lock:
            slot = self._slot()
            for index, value in enumerate(values):
                slot[index] += value

    def bump(self, index: int) -> None:
        """Add 1 to the sum at `index`."""
        with self._lock:
            self._slot()[index] += 1

    def sums(self) -> list[float]:
        """The sums now."""
        oldest = int(self._clock() / SLOT) - SLOTS
        with self._lock:
            live = [values for number, values in self._slots.items() if number > oldest]
            return [sum(column) for column in zip(*live, strict=True)] if live else [0.0] * self._width

    def _slot(self) -> list[float]:
        number = int(self._clock() / SLOT)
        slot = self._slots.get(number)
        if slot is None:
            for old in [n for n in self._slots if n <= number - SLOTS]:
                del self._slots[old]
            slot = self._slots[number] = [0.0] * self._width
        return slot


class Mean:
    """The mean of the last five minutes."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._window = Window(2, clock)

    def add(self, value: float) -> None:
        """Add one value."""
        self._window.add(value, 1)

    def value(self) -> float | None:
        """The mean, None when there was nothing."""
        total, count = self._window.sums()
        return total / count if count else None


class Quantiles:
    """Quantiles of the last five minutes, within 10 % of the true value from 1 ms to 150 s."""

    _BOUNDS = tuple(0.001 * 1.1**n for n in range(126))

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._window = Window(len(self._BOUNDS) + 1, clock)

    def add(self, seconds: float) -> None:
        """Add one duration."""
        self._window.bump(bisect_left(self._BOUNDS, seconds))

    def value(self, quantile: float) -> float | None:
        """The `quantile` (0 to 1) in seconds, None when there was nothing."""
        counts = self._window.sums()
        total = sum(counts)
        if not total:
            return None
        wanted = quantile * total
        for index, reached in enumerate(accumulate(counts)):
            if reached >= wanted:
                return self._BOUNDS[min(index, len(self._BOUNDS) - 1)]
        return self._BOUNDS[-1]
