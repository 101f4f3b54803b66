"""The money of one request: reserved before it is spent, counted call by call, settled at the end."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from techsapo_ops.messages import msg
from techsapo_ops.serve.answers.spending import Spending
from techsapo_ops.serve.http.problems import unconfirmed
from techsapo_ops.stores import Unconfirmed
from techsapo_ops.stores.audit.spool import AuditCall
from techsapo_ops.stores.budget_ledger import NANO, Ledger, OverBudget, nano
from techsapo_ops.stores.keys import ApiKey
from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.context import CUT_OFF, Charge
from techsapo_ops.wallbounce.providers.failures import Cause, FailureKind, NotAskedError

log = structlog.get_logger()

WAITS = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds between attempts while only other requests' reservations are in the way."""


class Account:
    """What one request has reserved and spent, in nano-dollars: the payer of one analysis.

    Without `ledgers` its costs are counted and nothing is reserved. `owner` says whose it is, in the store.
    """

    def __init__(self, spending: Spending, ledgers: Sequence[Ledger], owner: str) -> None:
        self._spending = spending
        self._ledgers = ledgers
        self._id = f"{uuid.uuid4().hex} {owner}"
        self._reserved = 0
        self._pending = 0
        self._lock = asyncio.Lock()
        self.spent = 0
        self.uncertain = False
        """Whether a call was cut off: its worst case is charged, since nobody knows what it cost."""
        self.short = False
        """Whether a call was left out since the budget had no room for it."""
        self.tokens = Tokens()
        """Of all calls so far."""
        self.calls: list[AuditCall] = []

    @classmethod
    def of(cls, spending: Spending, key: ApiKey | None, request_id: str) -> Account:
        """A new account that spends from everybody's budgets and from those of `key`."""
        owner = f"{key.id if key is not None else '-'} {request_id}"
        return cls(spending, spending.ledgers(key) if spending.counts else (), owner)

    @property
    def payer(self) -> dict[str, Any]:
        """Who pays from which ledgers, as another instance would go on with it."""
        ledgers = [[e.scope, e.period, e.name, e.limit] for e in self._ledgers]
        return {"owner": self._id, "ledgers": ledgers}

    async def take_over(self, payer: Mapping[str, Any]) -> bool:
        """Pay as `payer`, an instance that died; False where what it had reserved was booked by now."""
        if not self._ledgers:
            return True
        ledgers = tuple(Ledger(*each) for each in payer["ledgers"])
        held = await self._spending.store.adopt(payer["owner"], ledgers, self._spending.life)
        if held is None:
            return False
        self._id, self._ledgers, self._reserved = payer["owner"], ledgers, held
        return True

    def carry(self, charge: Charge) -> None:
        """Pay for a call of an instance that died, which counted it itself."""
        self._book(charge, nano(charge.cost_usd or 0.0))

    def hand_over(self) -> None:
        """Another instance goes on with the request, and pays for all of it."""
        self._ledgers, self.spent, self.tokens, self.calls = (), 0, Tokens(), []

    @property
    def spent_usd(self) -> float:
        """USD charged so far."""
        return self.spent / NANO

    def by_provider(self) -> dict[str, float]:
        """USD charged so far by provider."""
        costs: dict[str, float] = {}
        for call in self.calls:
            costs[call.provider] = costs.get(call.provider, 0.0) + call.cost_usd
        return costs

    async def open(self, usd: float) -> None:
        """Reserve `usd` beside what is spent. Raises Problem, where only reservations are in the way after a
        short wait, and where Redis can't confirm it, after as long as a failover takes.
        """
        for wait in (*WAITS, None):
            try:
                await self._reserve(max(0, self.spent + nano(usd) - self._reserved))
            except OverBudget as error:
                if not error.passing or wait is None:
                    raise self._spending.refusal(error) from None
            except Unconfirmed:
                raise unconfirmed() from None
            else:
                return
            await asyncio.sleep(wait)

    async def afford(self, usd: float) -> bool:
        """Reserve what `usd` lacks in the money that is reserved and free; False where it does not fit."""
        return await self._make_room(nano(usd))

    async def hold(self, usd: float) -> int:
        """Set `usd` aside for a call, in nano-dollars. Raises NotAskedError where the budget has no room."""
        amount = nano(usd)
        if not await self._make_room(amount):
            message = msg("not enough budget is left for this call")
            raise NotAskedError(FailureKind.REFUSED, message, cause=Cause.BUDGET)
        self._pending += amount
        return amount

    def book(self, held: int, charge: Charge) -> None:
        """Book a call for which `held` nano-dollars were set aside.

        One that was cut off is charged at its worst case: what a vendor bills for it is not known.
        """
        cost = held if charge.cost_usd is None else nano(charge.cost_usd)
        self._pending -= held
        self.uncertain |= charge.status == CUT_OFF and held > 0
        self._spending.booked(charge.provider, charge.model, cost / NANO)
        self._book(charge, cost)

    def _book(self, charge: Charge, cost: int) -> None:
        self.spent += cost
        self.tokens += charge.tokens
        self.calls.append(
            AuditCall(
                charge.provider,
                charge.model,
                charge.phase,
                charge.status,
                cost / NANO,
                charge.tokens.input,
                charge.tokens.output,
                round(charge.seconds * 1000),
                charge.version,
            )
        )

    async def close(self) -> None:
        """Book what was spent and give the rest back."""
        if self._ledgers and (self._reserved or self.spent):
            self._spending.saw(
                self._ledgers, await self._spending.store.settle(self._id, self._ledgers, self.spent)
            )

    async def _make_room(self, amount: int) -> bool:
        async with self._lock:
            lacking = self.spent + self._pending + amount - self._reserved
            if lacking > 0:
                try:
                    await self._reserve(lacking)
                except OverBudget as error:
                    self._spending.refused(error)
                    self.short = True
                    log.warning("Budget has no room for a further call", ledger=error.ledger.key)
                    return False
                except Unconfirmed:
                    self.short = True
                    log.warning("No replica has confirmed the budget for a further call")
                    return False
        return True

    async def _reserve(self, amount: int) -> None:
        if amount and self._ledgers:
            await self._spending.store.reserve(self._id, self._ledgers, amount, self._spending.life)
        self._reserved += amount
