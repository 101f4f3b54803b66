"""What every call of one analysis carries along: who hears of it, who pays, how long vendors took."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from techsapo_ops.wallbounce.events import Charge, Event, Observer
from techsapo_ops.wallbounce.question import TaskType


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


CUT_OFF = "cut_off"
"""Status of a call that was given up while it was under way: what a vendor bills for it is not known."""


class Payer(Protocol):
    """Who pays for the calls of one analysis."""

    async def afford(self, usd: float) -> bool:
        """Whether so much more may be spent; where it may, it is reserved."""
        ...

    async def hold(self, usd: float) -> int:
        """Set `usd` aside for a call, in units of the payer. Raises ProviderError where there is no room."""
        ...

    def book(self, held: int, charge: Charge) -> None:
        """Book a call for which `held` units were set aside; all of them are spent where it was cut off."""
        ...


class Memory(Protocol):
    """What is known of one analysis that another instance began, and what this one adds for the next."""

    @property
    def seed(self) -> int:
        """What chance decides in this analysis, whoever goes on with it."""
        ...

    @property
    def answered(self) -> Sequence[str]:
        """Names of the providers whose answers are known."""
        ...

    def reply(self, call: str) -> Any | None:
        """The reply to `call` as JSON has it, where it is known."""
        ...

    async def asking(self, call: str, usd: float) -> None:
        """`call` is about to be made, for `usd` at worst."""
        ...

    async def ended(self, call: str, usd: float, reply: Any | None = None) -> None:
        """`call` ended so: what it cost, and its reply as JSON has it, where there is one."""
        ...


def nobody(event: Event) -> None:
    """Let an event pass."""


@dataclass(frozen=True, slots=True)
class AnalysisContext:
    """The context of one analysis. It is passed on with each call and outlives none of them.

    Nothing of it is kept in a context variable: a pooled connection to a vendor keeps those of the call that
    opened it, and with them an analysis that is long over.
    """

    task_type: TaskType = "basic"
    tell: Observer = nobody
    """Hears of every event, in order, on the event loop."""
    payer: Payer | None = None
    """None where nothing is reserved or booked."""
    memory: Memory | None = None
    """None where nobody could go on with the analysis."""
    wait: VendorWait = field(default_factory=VendorWait)
    """How long vendors were waited for, and whether one of them was for as long as it may be."""
