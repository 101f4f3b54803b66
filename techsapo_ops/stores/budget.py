"""What may still be spent: reserved before, settled after, shared through Redis where there is one."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from techsapo_ops.adapters.streaks import Operation
from techsapo_ops.stores.budget_ledger import (
    DONE_BY,
    Balance,
    Ledger,
    Lost,
    OverBudget,
    Reply,
    SpendingUnknown,
    SpentBefore,
    Unaccounted,
    key_names,
    nothing,
)
from techsapo_ops.stores.redis_link import Away, RedisLink

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.commands.core import AsyncScript

_KEEP = 40 * 86400
"""Seconds for which Redis keeps a ledger: longer than its month."""
_AGAIN = 30.0
"""Seconds until an audit log that could not be read is asked again."""
_TRIAL = Ledger("-", "day", "trial", 0)
"""One that nobody spends from; it is kept for a second."""
_TRIALS: dict[Operation, tuple[str, ...]] = {
    "read": ("read",), "write": ("seed", "reserve"), "release": ("seed", "reserve", "settle")
}  # fmt: skip


@dataclass(slots=True)
class _LocalLedger:
    """A ledger in this process. `base` comes from elsewhere; `own` was booked here while Redis was away."""

    base: int
    own: int = 0
    _held: int = 0
    _open: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Expiry and amount by owner, the first to expire first: all reservations have the same life."""

    def balance(self) -> Balance:
        """Spent and held now. It costs the same however many reservations are open: each call asks."""
        now = time.monotonic()
        while self._open and next(iter(self._open.values()))[0] <= now:
            self.release(next(iter(self._open)))
        return Balance(self.base + self.own, self._held)

    def hold(self, owner: str, amount: int, life: float) -> None:
        """Add `amount` to what `owner` holds, for `life` seconds from now."""
        held = self.release(owner) + amount
        self._open[owner] = (time.monotonic() + life, held)
        self._held += held

    def release(self, owner: str) -> int:
        """Take away what `owner` holds; how much that was."""
        _, amount = self._open.pop(owner, (0.0, 0))
        self._held -= amount
        return amount


@dataclass(eq=False, slots=True)
class BudgetStore:
    """Reservations and spending by ledger.

    With Redis, one script checks and reserves all ledgers of a request at once, so that instances together
    never go beyond a limit. While Redis is away each instance goes on alone from what it saw last, and books
    what it spent meanwhile once Redis is back. A ledger that Redis does not know (a new period, lost data)
    starts with what the audit log says, and one of which it knows less is raised to that: after a power cut
    it has what it last saved, up to an hour old. Where the audit log can't be read, a ledger counts as spent;
    one that begins anew starts with what is `unaccounted` too. A reservation whose owner died is booked whole
    after its life, and `lost` is called once by the instance that finds it.
    """

    link: RedisLink
    prefix: str
    spent_before: SpentBefore
    lost: Callable[[Lost], None] = lambda _: None
    unaccounted: Unaccounted = nothing
    _script: str = field(
        default_factory=lambda: (files("techsapo_ops.stores") / "budget.lua").read_text(encoding="utf-8")
    )
    _registered: AsyncScript | None = None
    _local: dict[str, _LocalLedger] = field(default_factory=dict)
    _seeding: asyncio.Lock = field(default_factory=asyncio.Lock)
    _compared: set[str] = field(default_factory=set)
    """Keys of the ledgers that were compared with the audit log since this process began."""
    _comparing: set[asyncio.Task[None]] = field(default_factory=set)

    async def reserve(self, owner: str, ledgers: Sequence[Ledger], amount: int, life: float) -> list[Balance]:
        """Add `amount` to what `owner` holds in every ledger, for `life` seconds. Raises OverBudget, as
        SpendingUnknown where nobody knows what is spent.

        Nothing is held where one ledger has no room.
        """
        limits = [ledger.limit for ledger in ledgers]
        try:
            reply = await self._run("reserve", owner, ledgers, amount, math.ceil(life), limits)
        except Away:
            return await self._reserve_here(owner, ledgers, amount, life)
        if reply.status == "refused":
            raise OverBudget(ledgers[reply.at], reply.balances[0], amount)
        return self._seen(ledgers, reply)

    async def adopt(self, owner: str, ledgers: Sequence[Ledger], life: float) -> int | None:
        """Go on with what an instance that died had reserved as `owner`, for `life` seconds: how much it is.

        None where it holds nothing: it was settled, or booked since its life was over; or Redis is away.
        """
        try:
            reply = await self._run("adopt", owner, ledgers, 0, math.ceil(life), ())
        except (Away, SpendingUnknown):
            return None
        return reply.at if reply.status == "ok" else None

    async def settle(self, owner: str, ledgers: Sequence[Ledger], amount: int) -> list[Balance]:
        """Book `amount` and give back whatever `owner` holds."""
        for ledger in ledgers:
            if ledger.key in self._local:
                self._local[ledger.key].release(owner)
        try:
            return self._seen(ledgers, await self._run("settle", owner, ledgers, amount, 0, ()))
        except (Away, SpendingUnknown):
            balances = []
            for ledger in ledgers:
                try:
                    local = await self._local_ledger(ledger)
                except SpendingUnknown:
                    local = self._local[ledger.key] = _LocalLedger(ledger.limit)
                local.own += amount
                balances.append(local.balance())
            return balances

    async def balances(self, ledgers: Sequence[Ledger]) -> list[Balance]:
        """What is spent and held in the ledgers now; of one of which that is not known, all of it."""
        try:
            reply = await self._run("read", "", ledgers, 0, 0, ())
        except SpendingUnknown as error:
            if len(ledgers) == 1:
                return [error.balance]
            return [each for ledger in ledgers for each in await self.balances([ledger])]
        except Away:
            return [await self._local_balance(ledger) for ledger in ledgers]
        return self._seen(ledgers, reply)

    async def _local_balance(self, ledger: Ledger) -> Balance:
        try:
            return (await self._local_ledger(ledger)).balance()
        except SpendingUnknown as error:
            return error.balance

    async def try_again(self) -> None:
        """Do with a ledger of its own what Redis refused before."""

        trial = key_names(self.prefix, [_TRIAL])

        def doing(*actions: str) -> Callable[[Redis], Awaitable[None]]:
            async def do(redis: Redis) -> None:
                for action in actions:
                    await self._scripted(redis, trial, (action, "trial", 0, 1, 1, 0))

            return do

        await self.link.try_again({operation: doing(*actions) for operation, actions in _TRIALS.items()})

    async def _reserve_here(
        self, owner: str, ledgers: Sequence[Ledger], amount: int, life: float
    ) -> list[Balance]:
        here = [await self._local_ledger(ledger) for ledger in ledgers]
        for ledger, local in zip(ledgers, here, strict=True):
            now = local.balance()
            if now.spent + now.held + amount > ledger.limit:
                raise OverBudget(ledger, now, amount)
        for local in here:
            local.hold(owner, amount, life)
        return [local.balance() for local in here]

    async def _local_ledger(self, ledger: Ledger) -> _LocalLedger:
        local = self._local.get(ledger.key)
        if local is None:
            async with self._seeding:
                local = self._local.get(ledger.key)
                if local is None:
                    base = await self._begins_with(ledger)
                    self._forget_before(ledger)
                    local = self._local[ledger.key] = _LocalLedger(base)
        return local

    def _forget_before(self, ledger: Ledger) -> None:
        """Drop the ledgers of earlier periods; the one before stays for requests that began in it."""
        prefix = f"{ledger.scope}:{ledger.period}:"
        older = sorted(key for key in self._local if key.startswith(prefix) and key < ledger.key)
        for key in older[:-1]:
            if not self._local[key].own:
                del self._local[key]

    def _seen(self, ledgers: Sequence[Ledger], reply: Reply) -> list[Balance]:
        for ledger, balance in zip(ledgers, reply.balances, strict=True):
            self._compare_once(ledger)
            local = self._local.get(ledger.key)
            if local is None:
                self._forget_before(ledger)
                self._local[ledger.key] = _LocalLedger(max(0, balance.spent))
            elif not local.own:
                local.base = max(0, balance.spent)
        return list(reply.balances)

    async def _run(
        self,
        action: str,
        owner: str,
        ledgers: Sequence[Ledger],
        amount: int,
        life: int,
        limits: Sequence[int],
    ) -> Reply:
        await self._pay_debts(ledgers)
        while True:
            reply = await self._call(action, owner, ledgers, amount, life, limits)
            if action == "read":
                missing = [n for n, balance in enumerate(reply.balances) if balance.spent < 0]
            else:
                missing = [reply.at] if reply.status == "unknown" else []
            if not missing:
                return reply
            for n in missing:
                await self._seed(ledgers[n])

    def _compare_once(self, ledger: Ledger) -> None:
        """Beside the questions that wait: the audit log of a long month takes a second to add up."""
        if ledger.key in self._compared:
            return
        self._compared.add(ledger.key)
        task = asyncio.create_task(self._raise(ledger))
        self._comparing.add(task)
        task.add_done_callback(self._comparing.discard)

    async def _raise(self, ledger: Ledger) -> None:
        """See that Redis has at least what the audit log says."""
        try:
            await self._call("raise", "", [ledger], await self.spent_before(ledger), 0, ())
        except Away:
            self._compared.discard(ledger.key)
        except SpendingUnknown:  # later again, and not with every question meanwhile
            asyncio.get_running_loop().call_later(_AGAIN, self._compared.discard, ledger.key)

    async def _seed(self, ledger: Ledger) -> None:
        async with self._seeding:
            (balance,) = (await self._call("read", "", [ledger], 0, 0, ())).balances
            if balance.spent >= 0:
                return
            known = self._local.get(ledger.key)
            base = known.base if known else 0
            try:
                base = max(await self._begins_with(ledger), base)
            except SpendingUnknown:
                if known is None:
                    raise
            await self._call("seed", "", [ledger], base, 0, ())
            self._compared.add(ledger.key)

    async def _begins_with(self, ledger: Ledger) -> int:
        """What a ledger begins with of which nothing is known but rows. Raises SpendingUnknown."""
        spent = await self.spent_before(ledger)
        return max(spent, min(ledger.limit, spent + await self.unaccounted(ledger)))

    async def _pay_debts(self, ledgers: Sequence[Ledger]) -> None:
        """Book in Redis what was spent while it was away."""
        for ledger in ledgers:
            local = self._local.get(ledger.key)
            if local is None or not local.own:
                continue
            owed, local.own = local.own, 0
            local.base += owed
            try:
                reply = await self._call("settle", "-", [ledger], owed, 0, ())
                if reply.status == "unknown":
                    await self._call("seed", "", [ledger], local.base, 0, ())
            except Away:
                local.own += owed
                local.base -= owed
                raise

    async def _call(
        self,
        action: str,
        owner: str,
        ledgers: Sequence[Ledger],
        amount: int,
        life: int,
        limits: Sequence[int],
    ) -> Reply:
        numbers = (amount, life, _KEEP, *limits)
        reply = Reply.of(
            await self._answer(action, key_names(self.prefix, ledgers), (action, owner, *numbers))
        )
        for n, lost_owner, expiry, lost_amount in reply.lost:
            ended = datetime.fromtimestamp(expiry, UTC)
            self.lost(Lost(ledgers[n], lost_owner, ended, lost_amount))
        return reply

    async def _answer(self, action: str, names: list[str], args: tuple[str | int, ...]) -> list[Any]:
        """What the script answers, by way of the link. Raises Away."""
        return await self.link.call(lambda redis: self._scripted(redis, names, args), DONE_BY[action])

    async def _scripted(self, redis: Redis, names: list[str], args: tuple[str | int, ...]) -> list[Any]:
        """What the script answers to action, owner, amount, life, how long a ledger is kept, and limits."""
        script = self._registered = self._registered or redis.register_script(self._script)
        reply: list[Any] = await script(keys=names, args=args)
        return reply
