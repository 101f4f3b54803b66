"""What was spent of a budget before this instance began: by the audit log, and what that can't tell."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import structlog

from techsapo_ops.errors import OpsError
from techsapo_ops.stack.data_notes import MARK, BudgetNote, Gap, read_note
from techsapo_ops.stores.audit.log import AuditLog, Unreadable
from techsapo_ops.stores.budget_ledger import Ledger, SpendingUnknown, nano

log = structlog.get_logger()

READ_EVERY = 0.2
"""Seconds between two readings of the note."""


@dataclass(slots=True)
class BudgetHistory:
    """Of the budgets of `instance`, whose data lies in `data`; `note` is what the tool says of them.

    `daily_usd` is the budget of a day: as much counts as spent on each day of which rows are lost.
    """

    audit: AuditLog
    instance: str
    data: Path
    note: Path | None
    daily_usd: float
    simulated: bool
    """Whether what simulated providers pretend to charge counts."""
    _began: datetime = field(default_factory=lambda: datetime.now(UTC))
    _read_at: float = field(default=float("-inf"))
    _known: BudgetNote = field(default_factory=BudgetNote)

    def reset(self, period: str) -> datetime | None:
        """When the budgets of a period were last reset to zero."""
        return self._read().resets.get(period)

    def has_gap(self, ledger: Ledger) -> bool:
        """Whether rows are lost that would tell what was spent of `ledger`."""
        return any(gap.until > ledger.start and gap.since < ledger.reset for gap in self._gaps())

    async def spent_before(self, ledger: Ledger) -> int:
        """What was spent in the period of `ledger` by the audit log, in nano-dollars.

        Of a period that began after this instance nothing was, where the log can't be read: what was spent
        since is in Redis, or in this process. Raises SpendingUnknown for an earlier one.
        """
        try:
            spent = await asyncio.to_thread(
                self.audit.spent_since, ledger.start, ledger.scope or None, simulated=self.simulated
            )
        except Unreadable:
            if ledger.start >= self._began:
                return 0
            raise SpendingUnknown(ledger) from None
        return nano(spent)

    async def unaccounted(self, ledger: Ledger) -> int:
        """What may have been spent besides on days of which rows are lost. Raises SpendingUnknown."""
        if not self.has_gap(ledger):
            return 0
        if ledger.period == "day":
            return ledger.limit
        try:
            first = await asyncio.to_thread(self.audit.first)
        except Unreadable:
            raise SpendingUnknown(ledger) from None
        days = {day for gap in self._gaps() for day in _days(gap, first, ledger)}
        return len(days) * nano(self.daily_usd)

    def _gaps(self) -> tuple[Gap, ...]:
        """The noted ones, and that of a log which was there and is gone, or was made anew, since `up`."""
        note = self._read()
        since = note.audit_since.get(self.instance)
        if since is None or (self.data / MARK).exists():
            return note.gaps
        return (*note.gaps, Gap(since, since, datetime.now(UTC)))

    def _read(self) -> BudgetNote:
        if self.note is not None and time.monotonic() - self._read_at >= READ_EVERY:
            self._read_at = time.monotonic()
            try:
                self._known = read_note(self.note)
            except OpsError as error:  # as it was known last
                log.error("The record of budgets can't be read", file=str(self.note), error=error.message)
        return self._known


def _days(gap: Gap, first: datetime | None, ledger: Ledger) -> Iterator[date]:
    """The days of a ledger in which rows are lost: where older ones were restored, those after them."""
    since = gap.seen if first is not None and first <= gap.seen else gap.since
    day = max(since.astimezone(UTC), ledger.start).date()
    last = min(gap.until.astimezone(UTC), ledger.reset - timedelta(microseconds=1)).date()
    while day <= last:
        yield day
        day += timedelta(days=1)
