"""What a budget is: its ledger of a day or month, what is spent and held in it, and what does not fit."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from techsapo_ops.adapters.streaks import Operation
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
    """One budget: `limit` nano-dollars for `scope` in the day or month (UTC) named `name`.

    The name of one that was reset ends with `+` and the Unix time of that: it is a ledger of its own.
    """

    scope: str
    period: Period
    name: str
    limit: int

    @classmethod
    def of(
        cls, scope: str, period: Period, limit_usd: float, now: datetime, reset: datetime | None = None
    ) -> Ledger:
        """The ledger of the period that `now` lies in; `reset` is when one of that kind was reset last."""
        name = now.strftime("%Y-%m-%d" if period == "day" else "%Y-%m")
        ledger = cls(scope, period, name, int(limit_usd * NANO + 0.5))
        return (
            ledger
            if reset is None or reset < ledger.start
            else replace(ledger, name=f"{name}+{int(reset.timestamp())}")
        )

    @property
    def key(self) -> str:
        """Its name in the store."""
        return f"{self.scope}:{self.period}:{self.name}"

    @property
    def start(self) -> datetime:
        """From when on it counts: the begin of the period, or its last reset."""
        _, _, reset = self.name.partition("+")
        return datetime.fromtimestamp(int(reset), UTC) if reset else self._begin

    @property
    def reset(self) -> datetime:
        """When the next period begins."""
        if self.period == "day":
            return self._begin + timedelta(days=1)
        return (self._begin + timedelta(days=32)).replace(day=1)

    @property
    def _begin(self) -> datetime:
        form = "%Y-%m-%d" if self.period == "day" else "%Y-%m"
        return datetime.strptime(self.name.partition("+")[0], form).replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Balance:
    """Nano-dollars of a ledger that are spent, and that are reserved by requests under way.

    Where that is not `known` all of it counts as spent.
    """

    spent: int
    held: int
    known: bool = True


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


class SpendingUnknown(OverBudget):
    """Nobody can tell what was spent of `ledger` so far, so it counts as spent."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger, Balance(ledger.limit, 0, known=False), 1)


@dataclass(frozen=True, slots=True)
class Lost:
    """A reservation of an instance that died: `amount` is booked in `ledger`, since it may be spent."""

    ledger: Ledger
    owner: str
    expiry: datetime
    amount: int


SpentBefore = Callable[[Ledger], Awaitable[int]]
"""Nano-dollars spent in a ledger's period by what the audit log says. Raises SpendingUnknown."""
Unaccounted = Callable[[Ledger], Awaitable[int]]
"""Nano-dollars that may have been spent besides, since the rows that would tell are lost."""


async def nothing(_: Ledger) -> int:
    """Where all rows are there."""
    return 0


DONE_BY: dict[str, Operation] = {
    "read": "read", "reserve": "write", "adopt": "write", "seed": "write", "raise": "write",
    "settle": "release", "hold": "write", "close": "release",
}  # fmt: skip
"""By action of the script, what it asks of Redis."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the script answers; `at` and the first of `lost` are indices of ledgers."""

    status: str
    at: int
    balances: tuple[Balance, ...]
    lost: tuple[tuple[int, str, int, int], ...]

    @classmethod
    def of(cls, raw: list[Any]) -> Reply:
        """`raw` as redis-py gives it."""
        status, at, balances, lost = raw
        return cls(
            status.decode(),
            int(at) - 1,
            tuple(Balance(int(s), int(h)) for s, h in _batched(balances, 2)),
            tuple((int(n) - 1, owner.decode(), int(e), int(a)) for n, owner, e, a in _batched(lost, 4)),
        )


def key_names(prefix: str, ledgers: Sequence[Ledger]) -> list[str]:
    """The keys of ledgers in Redis."""
    return [f"{prefix}{ledger.key}:{part}" for ledger in ledgers for part in ("spent", "open")]


def _batched(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """`items` in groups of `size`."""
    return [items[i : i + size] for i in range(0, len(items), size)]
