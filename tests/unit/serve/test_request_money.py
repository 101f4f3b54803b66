"""The money of one request: what it holds meanwhile, and what is booked at its end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from orchestrator import make_app
from rows import each_row

from techsapo_ops.serve.metering import Account
from techsapo_ops.serve.problems import Problem
from techsapo_ops.stores.budget_ledger import NANO, Balance
from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.context import CUT_OFF
from techsapo_ops.wallbounce.events import Charge
from techsapo_ops.wallbounce.failures import NotAskedError


class Budget:
    """A day's budget of ten dollars, kept in this process."""

    def __init__(self, folder: Path) -> None:
        budget = {"daily_usd": 10.0, "monthly_usd": 100.0, "count_simulated": True}
        self.spending = make_app(folder, budget=budget).spending

    def account(self) -> Account:
        return Account.of(self.spending, None, "req_1")

    async def balance(self) -> Balance:
        return (await self.spending.store.balances(self.spending.ledgers()[:1]))[0]


def ended(status: str, usd: float | None) -> Charge:
    return Charge("sim-a", "m", "answer", status, usd, Tokens(3, 4), 0.1)


ENDS = [(ended("success", 0.5), 0.5, False), (ended("timeout", 0.25), 0.25, False)]


@each_row("charge, usd, uncertain", [*ENDS, (ended(CUT_OFF, None), 2.0, True)])
def test_a_call_is_booked_at_its_cost_and_one_that_was_cut_off_at_its_worst_case(
    tmp_path: Path, charge: Charge, usd: float, uncertain: bool
) -> None:
    async def main() -> None:
        budget = Budget(tmp_path)
        account = budget.account()
        await account.open(3.0)
        account.book(await account.hold(2.0), charge)
        assert (account.spent_usd, account.by_provider()) == (usd, {"sim-a": usd})
        assert account.uncertain == uncertain
        assert await account.afford(3.0 - usd), "what the call did not take is free for others"
        assert await budget.balance() == Balance(0, 3 * NANO), "until its end all of it is held"
        await account.close()
        assert await budget.balance() == Balance(int(usd * NANO), 0), "the rest is given back"

    asyncio.run(main())


async def test_what_others_have_reserved_is_not_free_until_they_settle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("techsapo_ops.serve.metering.WAITS", ())
    budget = Budget(tmp_path)
    first, second = budget.account(), budget.account()
    await first.open(9.0)
    with pytest.raises(Problem) as refused:
        await second.open(2.0)
    assert refused.value.code == "budget_reserved"
    await second.open(1.0)
    with pytest.raises(NotAskedError):
        await second.hold(2.0)
    assert second.short
    await first.close()
    assert await second.hold(2.0) == 2 * NANO
