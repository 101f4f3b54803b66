"""The budgets of one instance: what may be spent, how full they are, and what is said when they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

import structlog

from techsapo_ops.messages import msg
from techsapo_ops.serve.answers.budget_history import BudgetHistory
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.metrics.registry import Sample
from techsapo_ops.serve.options import Options
from techsapo_ops.spec.models.app import Budget
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.stores.audit.log import AuditLog
from techsapo_ops.stores.budget import BudgetStore
from techsapo_ops.stores.budget_ledger import (
    EVERYBODY,
    NANO,
    PERIODS,
    Balance,
    Ledger,
    Lost,
    OverBudget,
    SpendingUnknown,
)
from techsapo_ops.stores.keys import ApiKey
from techsapo_ops.stores.shared import Shared

log = structlog.get_logger()

LIFE_MARGIN = 30.0
"""Seconds that a reservation outlives the longest request: it ends by itself only if its instance died."""
WARN_AT = 0.8
"""Share of the budget from which it is full enough to say so, as in the alert BudgetHigh."""
REFRESH = 5.0
"""Seconds between looks at what other instances have spent."""


@dataclass(frozen=True, slots=True)
class LostReservation:
    """What an instance that died had reserved: booked at its worst case, since it may be spent."""

    key: str
    request_id: str
    time: datetime
    usd: float


@dataclass(slots=True)
class Spending:
    """The budgets of this instance. `life` is that of a reservation, in seconds.

    Without `counts`, costs are accounted but no budget is touched: simulated money is none. What budgets come
    to is in the log.
    """

    store: BudgetStore
    budget: Budget
    life: float
    history: BudgetHistory
    counts: bool = True
    left_behind: Callable[[LostReservation], None] = lambda _lost: None
    """Hears of each reservation of an instance that died."""
    booked: Callable[[str, str, float], None] = lambda _provider, _model, _usd: None
    """Hears what each call was charged, by provider and model, in USD."""
    _spent: dict[str, tuple[str, float]] = field(default_factory=dict)
    """Nano-dollars by period, beside the name of the day or month that they belong to."""
    _reached: dict[str, set[str]] = field(default_factory=dict)

    def ledgers(self, key: ApiKey | None = None) -> tuple[Ledger, ...]:
        """The present day's and month's ledgers that a request of `key` spends from."""
        now = datetime.now(UTC)
        daily, monthly = self.budget.resolved_daily_usd, self.budget.monthly_usd
        new_day, new_month = self.history.reset("day"), self.history.reset("month")
        ledgers = [
            Ledger.of(EVERYBODY, "day", daily, now, new_day),
            Ledger.of(EVERYBODY, "month", monthly, now, new_month),
        ]
        if key is not None:
            if key.daily_usd is not None:
                ledgers.append(Ledger.of(key.id, "day", key.daily_usd, now, new_day))
            if key.monthly_usd is not None:
                ledgers.append(Ledger.of(key.id, "month", key.monthly_usd, now, new_month))
        return tuple(ledgers)

    def refusal(self, error: OverBudget) -> Problem:
        """The problem of a reservation that does not fit."""
        ledger, balance = error.ledger, error.balance
        whose = msg("this key's budget") if ledger.scope else msg("the budget")
        members = {
            "period": ledger.period,
            "limit_usd": ledger.limit / NANO,
            "spent_usd": balance.spent / NANO,
            "needed_usd": error.wanted / NANO,
            "scope": "key" if ledger.scope else "all",
        }
        if error.passing:
            return Problem(
                503,
                "budget_reserved",
                msg(
                    "the rest of {whose} for the {period} is reserved by requests in progress",
                    whose=whose,
                    period=PERIODS[ledger.period],
                ),
                retry_after=2.0,
                **members,
            )
        self.refused(error)
        reset = ledger.reset
        detail = msg(
            "{whose} for the {period} is too low for this question; the budget resets at {reset}",
            whose=whose,
            period=PERIODS[ledger.period],
            reset=reset.isoformat(),
        )
        if isinstance(error, SpendingUnknown) or self.history.has_gap(ledger):
            why = (
                msg("the audit log can't be read")
                if isinstance(error, SpendingUnknown)
                else msg("rows of the audit log are lost")
            )
            detail = msg(
                "{whose} for the {period} counts as spent until {reset}, because {why}; "
                "`techsapo answers reset-budget {name}` resets the spending to zero",
                whose=whose,
                period=PERIODS[ledger.period],
                reset=reset.isoformat(),
                why=why,
                name=ledger.period,
            )
        elif error.wanted > ledger.limit:  # nor will it have any after
            detail = msg(
                "this question may cost up to ${wanted:.4f}, more than {whose} for a whole {period} "
                "(${limit:g}); raise that budget, or lower the providers' max_output_tokens",
                wanted=error.wanted / NANO,
                whose=whose,
                period=PERIODS[ledger.period],
                limit=ledger.limit / NANO,
            )
        return Problem(
            402,
            "budget_exhausted",
            detail,
            retry_after=max(1.0, (reset - datetime.now(UTC)).total_seconds()),
            reset=reset.isoformat(),
            **members,
        )

    def refused(self, error: OverBudget) -> None:
        """Take note that a budget had no room, where waiting for requests under way is no help."""
        if not error.passing and not isinstance(error, SpendingUnknown):  # the next look may tell
            self._level(error.ledger, "exhausted", error.balance)

    def saw(self, ledgers: Sequence[Ledger], balances: Sequence[Balance]) -> None:
        """Remember how full the ledgers are, and say so from the warning's share on."""
        for ledger, balance in zip(ledgers, balances, strict=True):
            if not balance.known:  # the next look may tell
                continue
            share = _share(ledger, balance)
            if not ledger.scope:
                self._spent[ledger.period] = (ledger.name, balance.spent)
            if share >= WARN_AT:
                self._level(ledger, "exhausted" if share >= 1 else "warning", balance)

    def lost(self, lost: Lost) -> None:
        """A reservation of an instance that died was booked; logged once, by everybody's month."""
        if lost.ledger.scope or lost.ledger.period != "month":
            return
        _, key, request_id = lost.owner.split(" ", 2)
        begun = lost.expiry - timedelta(seconds=self.life)
        event = LostReservation("" if key == "-" else key, request_id, begun, lost.amount / NANO)
        log.warning(
            "An instance died with money reserved; it is booked at its worst case",
            requestId=request_id,
            cost=event.usd,
        )
        self.left_behind(event)

    def percent(self) -> list[Sample]:
        """Share of the day's and month's budget that all instances have spent, in percent."""
        limits = {ledger.period: ledger.limit / NANO for ledger in self.ledgers() if ledger.limit > 0}
        return [(p, 100 * usd / limits[p["period"]]) for p, usd in self.spent_usd() if p["period"] in limits]

    def spent_usd(self) -> list[Sample]:
        """USD of the day's and month's budget that all instances have spent."""
        samples: list[Sample] = []
        for ledger in self.ledgers():
            name, spent = self._spent.get(ledger.period, ("", 0.0))
            samples.append(({"period": ledger.period}, spent / NANO if name == ledger.name else 0.0))
        return samples

    def exhausted(self) -> list[Sample]:
        """1 by period where everybody's budget had no room for a question that came to this instance."""
        return [
            ({"period": each.period}, float("exhausted" in self._reached.get(each.key, ())))
            for each in self.ledgers()
        ]

    async def watch(self) -> None:
        """Look now and then at what other instances have spent, until cancelled."""
        while True:
            ledgers = self.ledgers()
            self.saw(ledgers, await self.store.balances(ledgers))
            live = {ledger.name for ledger in ledgers}
            self._reached = {k: v for k, v in self._reached.items() if k.rpartition(":")[2] in live}
            await asyncio.sleep(REFRESH)

    def _level(self, ledger: Ledger, level: Literal["warning", "exhausted"], balance: Balance) -> None:
        reached = self._reached.setdefault(ledger.key, set())
        if level in reached or "exhausted" in reached:
            return
        reached.add(level)
        tell = log.error if level == "exhausted" else log.warning
        tell(
            msg("Budget has no room for a question")
            if level == "exhausted"
            else msg("Budget is nearly used up"),
            period=ledger.period,
            key=ledger.scope or None,
            percent=round(100 * _share(ledger, balance), 1),
            limit=ledger.limit / NANO,
            reset=ledger.reset.isoformat(),
        )


def open_spending(
    options: Options,
    shared: Shared,
    audit: AuditLog,
    left_behind: Callable[[LostReservation], None],
    booked: Callable[[str, str, float], None],
    *,
    counts: bool,
) -> Spending:
    """The budgets of an instance, as all share them; `audit` says what a period's ledger begins with.

    `counts`, `booked` and `left_behind`: see Spending.
    """
    spec = options.spec
    life = seconds(spec.app.limits.request_timeout) + LIFE_MARGIN
    daily, pretended = spec.budget.resolved_daily_usd, spec.budget.count_simulated
    history = BudgetHistory(
        audit, options.instance, options.data, options.budget_note, daily, simulated=pretended
    )
    store = shared.budgets(history.spent_before, lambda lost: spending.lost(lost), history.unaccounted)
    spending = Spending(store, spec.budget, life, history, counts, left_behind, booked)
    return spending


def _share(ledger: Ledger, balance: Balance) -> float:
    return balance.spent / ledger.limit if ledger.limit else 0.0
