"""The money of investigations: a purse of their own within the day's budget. Questions keep the rest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from techsapo_ops.serve.answers.audit_trail import AuditTrail
from techsapo_ops.serve.answers.metering import Account
from techsapo_ops.serve.answers.spending import LIFE_MARGIN, Spending
from techsapo_ops.stores.keys import ApiKey

ID = "investigations"
"""By which the budget's ledger and the audit log tell what investigations spend, as by an API key's id."""


@dataclass(frozen=True, slots=True)
class Purse:
    """Opens accounts that spend from everybody's budgets and, at most `daily_usd` a day, from the purse."""

    spending: Spending
    trail: AuditTrail
    daily_usd: float
    longest: float
    """Seconds of the longest investigation."""

    def account(self, request_id: str) -> Account:
        """The account of one investigation, which its user opens and closes."""
        key = ApiKey(ID, ID, "", "premium", (), datetime.now(UTC), daily_usd=self.daily_usd)
        # A reservation that ends by itself counts as spent, so it has to outlive the investigation.
        spending = replace(self.spending, life=max(self.spending.life, self.longest + LIFE_MARGIN))
        return Account.of(spending, key, request_id)

    def booked(self, account: Account, request_id: str, status: str) -> None:
        """Put what it spent into the audit log, from which a purse begins anew where Redis lost it."""
        self.trail.investigated(account, request_id, status, key_id=ID)
