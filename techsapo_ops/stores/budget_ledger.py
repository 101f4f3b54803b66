"""What a budget is: its ledger of a day or month, what is spent and held in it, and what does not fit."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from techsapo_ops.messages import msg

NANO = 1_000_000_000
"""Nano-dollars in a dollar: amounts are whole numbers, so that sums are exact."""
EVERYBODY = ""
"""Scope of the budgets that all requests share; any other scope is an API key's id."""
Period = Literal["day", "month"]
PERIODS: Mapping[Period, str] = {"day": msg("day"), "month": msg("month")}
"""As they are said."""


def nano(usd: float) -> int:
    """USD in whole nano-dollars, rounded up."""
    return math.ceil(round(usd * NANO, 3))


@dataclass(frozen=True, slots=True)
class Ledger:
    """One budget: `limit` nano-dollars for `scope` in the day or month (UTC) named `name`."""

    scope: str
    period: Period
    name: str
    limit: int

    @classmethod
    def of(cls, scope: str, period: Period, limit_usd: float, now: datetime) -> Ledger:
        """The ledger of the period that `now` lies in."""
        name = now.strftime("%Y-%m-%d" if period == "day" else "%Y-%m")
        return cls(scope, period, name, int(limit_usd * NANO + 0.5))

    @property
    def key(self) -> str:
        """Its name in the store."""
        return f"{self.scope}:{self.period}:{self.name}"

    @property
    def start(self) -> datetime:
        """When the period began."""
        form = "%Y-%m-%d" if self.period == "day" else "%Y-%m"
        return datetime.strptime(self.name, form).replace(tzinfo=UTC)

    @property
    def reset(self) -> datetime:
        """When the next period begins."""
        if self.period == "day":
            return self.start + timedelta(days=1)
        return (self.start + timedelta(days=32)).replace(day=1)


@dataclass(frozen=True, slots=True)
class Balance:
    """Nano-dollars of a ledger that are spent, and that are reserved by requests under way."""

    spent: int
    held: int


class OverBudget(Exception):
    """A reservation does not fit into `ledger`."""

    def __init__(self, ledger: Ledger, balance: Balance, wanted: int) -> None:
        super().__init__(f"{ledger.key}: {wanted} nano-dollars do not fit")
        self.ledger = ledger
        self.balance = balance
        self.wanted = wanted

    @property
    def passing(self) -> bool:
        """Whether it may fit once requests under way have settled."""
        return self.balance.spent + self.wanted <= self.ledger.limit


@dataclass(frozen=True, slots=True)
class Lost:
    """A reservation of an instance that died: `amount` is booked in `ledger`, since it may be spent."""

    ledger: Ledger
    owner: str
    expiry: datetime
    amount: int


SpentBefore = Callable[[Ledger], Awaitable[int]]
"""Nano-dollars spent in a ledger's period by what the audit log says."""
