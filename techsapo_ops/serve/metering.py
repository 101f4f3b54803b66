"""The money of one request: reserved before it is spent, counted call by call, settled at the end."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol, TypeVar

import structlog

from techsapo_ops.stores.audit.spool import AuditCall
from techsapo_ops.stores.budget import NANO, Ledger, OverBudget, nano
from techsapo_ops.wallbounce.guard import Guarded
from techsapo_ops.wallbounce.model import (
    Answer,
    Critique,
    FailureKind,
    Grades,
    Peer,
    ProviderError,
    Question,
    Tokens,
)
from techsapo_ops.wallbounce.provider import Provider, worst_cost, worst_grading, worst_revision

if TYPE_CHECKING:
    from techsapo_ops.serve.spending import Spending

log = structlog.get_logger()

WAITS = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds between attempts while only other requests' reservations are in the way."""


class Paid(Protocol):
    """What a call came to."""

    @property
    def tokens(self) -> Tokens: ...
    @property
    def seconds(self) -> float: ...
    @property
    def cost_usd(self) -> float: ...


T = TypeVar("T", bound=Paid)

_account: ContextVar[Account | None] = ContextVar("account", default=None)


class Account:
    """What one request has reserved and spent, in nano-dollars. Used by the calls of one analysis.

    Without `ledgers` its costs are counted and nothing is reserved. `owner` says whose it is, in the store.
    """

    def __init__(self, spending: Spending, ledgers: Sequence[Ledger], owner: str = "") -> None:
        self._spending = spending
        self._ledgers = ledgers
        self._id = f"{uuid.uuid4().hex} {owner}"
        self._reserved = 0
        self._pending = 0
        self._lock = asyncio.Lock()
        self.spent = 0
        self.uncertain = False
        """Whether a call was cut off: its worst case is charged, since nobody knows what it cost."""
        self.calls: list[AuditCall] = []

    @property
    def spent_usd(self) -> float:
        """USD charged so far."""
        return self.spent / NANO

    def by_provider(self) -> dict[str, float]:
        """USD charged so far by provider."""
        found: dict[str, float] = {}
        for call in self.calls:
            found[call.provider] = found.get(call.provider, 0.0) + call.cost_usd
        return found

    async def open(self, usd: float) -> None:
        """Reserve `usd`. Raises Problem, where only reservations are in the way after a short wait."""
        for wait in (*WAITS, None):
            try:
                await self._reserve(nano(usd))
            except OverBudget as error:
                if not error.passing or wait is None:
                    raise self._spending.refusal(error) from None
            else:
                return
            await asyncio.sleep(wait)

    async def afford(self, usd: float) -> bool:
        """Reserve what `usd` lacks in the money that is reserved and free; False where it does not fit."""
        return await self._make_room(nano(usd))

    async def begin(self, amount: int) -> None:
        """Set `amount` aside for a call. Raises ProviderError where the budget has no room for it."""
        if not await self._make_room(amount):
            raise ProviderError(FailureKind.REFUSED, "the budget has no room for this call")
        self._pending += amount

    def end(self, amount: int, cost: int) -> None:
        """A call for which `amount` was set aside cost `cost`."""
        self._pending -= amount
        self.spent += cost

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
                    log.warning("Budget has no room for a further call", ledger=error.ledger.key)
                    return False
        return True

    async def _reserve(self, amount: int) -> None:
        if amount and self._ledgers:
            await self._spending.store.reserve(self._id, self._ledgers, amount, self._spending.life)
        self._reserved += amount


def charge(account: Account) -> None:
    """Let calls of the present task, and of tasks that it starts, be paid from `account`."""
    _account.set(account)


def metered(provider: Provider, booked: Callable[[str, str, float], None]) -> Provider:
    """`provider` whose calls are paid from the request's account.

    Money is set aside for each attempt of a guarded one: a vendor may bill those that fail, and what is
    reserved for a call is what one can cost.
    """
    if isinstance(provider, Guarded):
        return provider.around(lambda inner: Metered(inner, booked))
    return Metered(provider, booked)


class Metered:
    """`inner` whose calls are paid from the request's account, at the worst case until they end.

    A call that was cut off is charged at its worst case: what a vendor bills for it is not known.
    """

    def __init__(self, inner: Provider, booked: Callable[[str, str, float], None]) -> None:
        self.inner = inner
        self.name = inner.name
        self.kind = inner.kind
        self.model = inner.model
        self.timeout = inner.timeout
        self.price = inner.price
        self.max_output_tokens = inner.max_output_tokens
        self._booked = booked

    async def answer(self, question: Question) -> Answer:
        """See Provider.answer."""
        worst = worst_cost(self.inner, question)
        return await self._pay("answer", worst, lambda: self.inner.answer(question))

    async def grade(self, question: Question, peers: Sequence[Peer], own: Answer | None = None) -> Grades:
        """See Provider.grade."""
        worst = worst_grading(self.inner, question, peers, own)
        return await self._pay("grade", worst, lambda: self.inner.grade(question, peers, own))

    async def revise(self, question: Question, own: Answer, critiques: Sequence[Critique]) -> Answer:
        """See Provider.revise."""
        worst = worst_revision(self.inner, question, own, critiques)
        return await self._pay("revise", worst, lambda: self.inner.revise(question, own, critiques))

    async def warm(self) -> None:
        """See Provider.warm."""
        await self.inner.warm()

    async def close(self) -> None:
        """See Provider.close."""
        await self.inner.close()

    async def _pay(self, phase: str, worst: float, call: Callable[[], Awaitable[T]]) -> T:
        account = _account.get()
        if account is None:
            return await call()
        amount = nano(worst)
        await account.begin(amount)
        cost, status, tokens, taken = amount, "cut_off", Tokens(), 0.0
        started = asyncio.get_running_loop().time()
        try:
            result = await call()
        except ProviderError as error:
            cost, status = nano(error.cost_usd), str(error.kind)
            raise
        else:
            cost, status, tokens, taken = nano(result.cost_usd), "success", result.tokens, result.seconds
            return result
        finally:
            account.end(amount, cost)
            account.uncertain |= status == "cut_off" and amount > 0
            self._booked(self.name, self.model, cost / NANO)
            seconds = taken or asyncio.get_running_loop().time() - started
            account.calls.append(
                AuditCall(
                    self.name,
                    self.model,
                    phase,
                    status,
                    cost / NANO,
                    tokens.input,
                    tokens.output,
                    round(seconds * 1000),
                )
            )
