"""What the answers have cost today and this month, beside the budget: the same rows as `techsapo costs`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from techsapo_ops.operations.watch.costs import rows_of
from techsapo_ops.stack.stack import Stack


@dataclass(frozen=True, slots=True)
class Spent:
    """USD of this day and month, by UTC, and what may be spent; simulated money as the spec says."""

    day_usd: float
    month_usd: float
    daily_usd: float
    monthly_usd: float

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
    )
