"""What every call of one analysis carries along: who hears of it, and who pays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from techsapo_ops.wallbounce.events import Charge, Event, Observer
from techsapo_ops.wallbounce.providers.vendor_wait import VendorWait
from techsapo_ops.wallbounce.tiers import TaskType

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
