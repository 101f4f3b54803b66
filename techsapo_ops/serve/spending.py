"""Money of one request: reserved before it is spent, counted call by call, settled at the end."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol, TypeVar

import structlog

from techsapo_ops.adapters.audit_spool import AuditCall
from techsapo_ops.adapters.budget import (
    EVERYBODY,
    NANO,
    BudgetStore,
    Ledger,
    OverBudget,
    Standing,
    nano,
)
from techsapo_ops.adapters.keys import ApiKey
from techsapo_ops.serve.problems import Problem
from techsapo_ops.spec.models.app import Budget
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
from techsapo_ops.wallbounce.provider import Provider, worst_cost

log = structlog.get_logger()

LIFE_MARGIN = 30.0
"""Seconds that a reservation outlives the longest request: it ends by itself only if its instance died."""
WAITS = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds between attempts while only other requests' reservations are in the way."""
REFRESH = 5.0
"""Seconds between looks at what other instances have spent."""


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
    """What one request has reserved and spent, in nano-dollars. Used by the calls of one analysis."""

    def __init__(self, spending: Spending, ledgers: Sequence[Ledger]) -> None:
        self._spending = spending
        self._ledgers = ledgers
        self._id = uuid.uuid4().hex
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
        if self._reserved or self.spent:
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
                    log.warning("Budget has no room for a further call", ledger=error.ledger.key)
                    return False
        return True

    async def _reserve(self, amount: int) -> None:
        if amount:
            await self._spending.store.reserve(self._id, self._ledgers, amount, self._spending.life)
        self._reserved += amount


@dataclass(slots=True)
class Spending:
    """The budgets of this instance. `life` is that of a reservation, in seconds."""

    store: BudgetStore
    budget: Budget
    life: float
    _percent: dict[str, tuple[str, float]] = field(default_factory=dict)
    _warned: dict[str, int] = field(default_factory=dict)

    def account(self, key: ApiKey | None) -> Account:
        """A new account that spends from everybody's budgets and from those of `key`."""
        return Account(self, self.ledgers(key))

    def ledgers(self, key: ApiKey | None = None) -> tuple[Ledger, ...]:
        """The present day's and month's ledgers that a request of `key` spends from."""
        now = datetime.now(UTC)
        daily, monthly = self.budget.resolved_daily_usd, self.budget.monthly_usd
        found = [Ledger.of(EVERYBODY, "day", daily, now), Ledger.of(EVERYBODY, "month", monthly, now)]
        if key is not None:
            day, month = self.budget.per_key_daily_usd, self.budget.per_key_monthly_usd
            day = key.daily_usd if key.daily_usd is not None else day
            month = key.monthly_usd if key.monthly_usd is not None else month
            if day is not None:
                found.append(Ledger.of(key.id, "day", day, now))
            if month is not None:
                found.append(Ledger.of(key.id, "month", month, now))
        return tuple(found)

    def refusal(self, error: OverBudget) -> Problem:
        """The problem of a reservation that does not fit."""
        ledger, standing = error.ledger, error.standing
        whose = "this key's budget" if ledger.scope else "the budget"
        told = {
            "period": ledger.period,
            "limit_usd": ledger.limit / NANO,
            "spent_usd": standing.spent / NANO,
            "needed_usd": error.wanted / NANO,
            "scope": "key" if ledger.scope else "all",
        }
        if error.passing:
            return Problem(
                503,
                "budget_reserved",
                f"what is left of {whose} for the {ledger.period} is reserved by requests under way",
                retry_after=2.0,
                **told,
            )
        reset = ledger.reset
        return Problem(
            402,
            "budget_exhausted",
            f"{whose} for the {ledger.period} has no room for this question until {reset.isoformat()}",
            retry_after=max(1.0, (reset - datetime.now(UTC)).total_seconds()),
            reset=reset.isoformat(),
            **told,
        )

    def saw(self, ledgers: Sequence[Ledger], standings: Sequence[Standing]) -> None:
        """Remember how full the ledgers are, and say so in the log from the warning's share on."""
        for ledger, standing in zip(ledgers, standings, strict=True):
            share = standing.spent / ledger.limit if ledger.limit else 0.0
            if not ledger.scope:
                self._percent[ledger.period] = (ledger.name, 100 * share)
            level = 2 if share >= 1 else 1 if share >= self.budget.warn_at else 0
            if level > self._warned.get(ledger.key, 0):
                tell = log.error if level == 2 else log.warning
                tell(
                    "Budget is used up" if level == 2 else "Budget is nearly used up",
                    period=ledger.period,
                    key=ledger.scope or None,
                    percent=round(100 * share, 1),
                    limit=ledger.limit / NANO,
                    reset=ledger.reset.isoformat(),
                )
                self._warned[ledger.key] = level

    def percent(self) -> list[tuple[dict[str, str], float]]:
        """Share of the day's and month's budget that all instances have spent, in percent."""
        found: list[tuple[dict[str, str], float]] = []
        for ledger in self.ledgers():
            name, percent = self._percent.get(ledger.period, ("", 0.0))
            if ledger.limit > 0:
                found.append(({"period": ledger.period}, percent if name == ledger.name else 0.0))
        return found

    async def watch(self) -> None:
        """Look now and then at what other instances have spent, until cancelled."""
        while True:
            ledgers = self.ledgers()
            self.saw(ledgers, await self.store.standings(ledgers))
            live = {ledger.name for ledger in ledgers}
            self._warned = {k: v for k, v in self._warned.items() if k.rpartition(":")[2] in live}
            await asyncio.sleep(REFRESH)


def charge(account: Account) -> None:
    """Let calls of the present task, and of tasks that it starts, be paid from `account`."""
    _account.set(account)


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
        return await self._pay("answer", worst_cost(self, question), lambda: self.inner.answer(question))

    async def grade(self, question: Question, peers: Sequence[Peer], own: Answer | None = None) -> Grades:
        """See Provider.grade."""
        shown = sum(_bytes(p.text, p.root_cause, *p.claims, *p.commands) for p in peers)
        shown += _bytes(own.text, own.root_cause, *own.claims, *own.commands) if own else 0
        worst = worst_cost(self, question, shown)
        return await self._pay("grade", worst, lambda: self.inner.grade(question, peers, own))

    async def revise(self, question: Question, own: Answer, critiques: Sequence[Critique]) -> Answer:
        """See Provider.revise."""
        shown = _bytes(own.text, own.root_cause, *own.claims, *own.commands)
        shown += sum(_bytes(c.claim, c.objection) for c in critiques)
        worst = worst_cost(self, question, shown)
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


def _bytes(*texts: str) -> int:
    return sum(len(text.encode(errors="surrogatepass")) for text in texts)
