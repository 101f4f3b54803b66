"""What the answers have cost today and this month, beside the budget: as `techsapo answers costs` has it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from techsapo_ops.services.lost_data import lost_data
from techsapo_ops.services.registry import kind_of
from techsapo_ops.stack.data_notes import read_note
from techsapo_ops.stack.stack import Stack
from techsapo_ops.watch.costs import rows_of


@dataclass(frozen=True, slots=True)
class Spent:
    """USD of this day and month, by UTC, and what may be spent; simulated money as the spec says."""

    day_usd: float
    month_usd: float
    daily_usd: float
    monthly_usd: float
    rows_lost: bool = False
    """Whether audit rows of this month are lost, so that it was as much or more."""

    @property
    def day_percent(self) -> float:
        """How much of the day's budget is used."""
        return 100 * self.day_usd / self.daily_usd if self.daily_usd else 0.0

    @property
    def month_percent(self) -> float:
        """How much of the month's budget is used."""
        return 100 * self.month_usd / self.monthly_usd if self.monthly_usd else 0.0


def spent_of(stack: Stack, now: datetime) -> Spent:
    """What was spent by `now`. Raises OpsError where the audit log can't be read."""
    today, budget = now.astimezone(UTC).date(), stack.spec.budget
    asked = [
        request
        for request in rows_of(stack, today.day).requests
        if budget.count_simulated or not request.simulated
    ]
    return Spent(
        sum(r.cost_usd for r in asked if r.day == f"{today}"),
        sum(r.cost_usd for r in asked if r.day.startswith(f"{today:%Y-%m}")),
        budget.resolved_daily_usd,
        budget.monthly_usd,
        _rows_lost(stack, datetime(today.year, today.month, 1, tzinfo=UTC)),
    )


def _rows_lost(stack: Stack, first: datetime) -> bool:
    """Whether audit rows since `first` are lost: noted when the stack went on without them, or gone now."""
    if any(gap.until > first for gap in read_note(stack.layout.budget_note).gaps):
        return True
    lost = lost_data(stack.topology, stack.engine, stack.topology.engine)
    return any(kind_of(each.known.kind).has_audit_log(stack.topology) for each in lost)
