"""Budgets in a Redis that another one may take over from: they survive that, or nothing is spent."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from typing_extensions import override

from techsapo_ops.stores import Unconfirmed
from techsapo_ops.stores.budget import BudgetStore
from techsapo_ops.stores.budget_ledger import DONE_BY, Balance, Ledger, OverBudget, Reply, SpendingUnknown
from techsapo_ops.stores.redis_link import FAILOVER_PAUSE, PATIENCE, Away

_CLOSED = 3600
"""Seconds for which a closed reservation is known as one: longer than its instance tries to close it."""

T = TypeVar("T")


class ConfirmedBudgets(BudgetStore):
    """Reservations that replicas have before anybody spends them.

    Nothing is counted by an instance alone: on the other side of a cut the others go on. What an instance has
    spent and can't book now it books later, once. Until then the whole reservation stays, so that a failover
    can make the budget smaller, and never larger. The order of what is written is kept by replication: with a
    reservation a replica has all that was booked before it.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._mine: dict[str, int] = {}
        """What the requests of this instance hold."""
        self._owed: dict[str, tuple[tuple[Ledger, ...], int]] = {}
        """What is still to be booked, by owner."""
        self._paying = asyncio.Lock()
        self._master = 0

    @override
    async def reserve(self, owner: str, ledgers: Sequence[Ledger], amount: int, life: float) -> list[Balance]:
        """Add `amount` to what `owner` holds in every ledger, for `life` seconds. Raises OverBudget.

        Raises Unconfirmed where a failover could lose it; then nothing is held.
        """
        before = self._mine.get(owner, 0)
        limits = [ledger.limit for ledger in ledgers]

        async def hold() -> Reply:
            return await self._run("hold", owner, ledgers, before + amount, math.ceil(life), limits)

        try:
            reply = await _patiently(hold)
        except (Unconfirmed, asyncio.CancelledError):
            if not before:  # it may have been written all the same
                self._owed[owner] = (tuple(ledgers), 0)
            raise
        if reply.status == "refused":
            raise OverBudget(ledgers[reply.at], reply.balances[0], amount)
        self._mine[owner] = before + amount
        return self._seen(ledgers, reply)

    @override
    async def adopt(self, owner: str, ledgers: Sequence[Ledger], life: float) -> int | None:
        """Go on with what an instance that died had reserved; see BudgetStore. Raises Unconfirmed."""
        try:
            reply = await _patiently(lambda: self._run("adopt", owner, ledgers, 0, math.ceil(life), ()))
        except SpendingUnknown:
            return None
        if reply.status != "ok":
            return None
        self._mine[owner] = reply.at
        return reply.at

    @override
    async def settle(self, owner: str, ledgers: Sequence[Ledger], amount: int) -> list[Balance]:
        """Book `amount` and give back whatever `owner` holds: now, or as soon as there is a Redis for it."""
        self._mine.pop(owner, None)
        self._owed[owner] = (tuple(ledgers), amount)
        return await self.balances(ledgers)  # it pays first

    @override
    async def _pay_debts(self, ledgers: Sequence[Ledger]) -> None:
        async with self._paying:
            for owner, (owed, amount) in list(self._owed.items()):
                reply = await self._call("close", owner, owed, amount, _CLOSED, ())
                while reply.status == "unknown":
                    try:
                        await self._seed(owed[reply.at])
                    except SpendingUnknown:  # it is owed until somebody knows
                        break
                    reply = await self._call("close", owner, owed, amount, _CLOSED, ())
                else:
                    del self._owed[owner]

    @override
    def _seen(self, ledgers: Sequence[Ledger], reply: Reply) -> list[Balance]:
        if self._master != self.link.changes:  # compared anew: it may know less than the last one did
            self._master = self.link.changes
            self._compared.clear()
        return super()._seen(ledgers, reply)

    @override
    async def _answer(self, action: str, names: list[str], args: tuple[str | int, ...]) -> list[Any]:
        if action in ("read", "raise"):
            return await super()._answer(action, names, args)
        if action == "close":
            names = [*names, f"{self.prefix}closed:{args[1]}"]
        # Tried once: whoever waits for it tries again, and begins with what is owed.
        try:
            answer: list[Any] = await self.link.confirmed(
                lambda pipe: pipe.eval(self._script, len(names), *names, *args), DONE_BY[action], 0
            )
        except Unconfirmed as error:
            raise Away from error
        return answer


async def _patiently(work: Callable[[], Awaitable[T]]) -> T:
    """What `work` comes to, tried again for as long as a failover takes. Raises Unconfirmed."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return await work()
        except Away as error:
            if time.monotonic() >= until:
                raise Unconfirmed from error
        await asyncio.sleep(FAILOVER_PAUSE / 2)
