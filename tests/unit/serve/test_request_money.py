"""The money of one request; and of one whose instance died: what is paid, and who goes on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from orchestrator import make_app
from rows import each_row

from techsapo_ops.serve.answers.metering import Account
from techsapo_ops.serve.http.idempotency import RequestMemory
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.stores.budget_ledger import NANO, Balance
from techsapo_ops.stores.request_journal import Begun, Left, LostLock
from techsapo_ops.wallbounce.answers import Tokens
from techsapo_ops.wallbounce.context import CUT_OFF, Charge
from techsapo_ops.wallbounce.providers.failures import NotAskedError

HEAD = {"owner": "o-1", "ledgers": [], "seed": 7, "sent": "d", "attempts": ["first"]}
CALL = "answer\ta\tm\t0"
UNPAID = (
    Begun(CALL, 0.25, known=True, reply={"text": "x", "tokens": {"input": 3, "output": 4}}),
    Begun("grade\ta\tm\t0", 0.1, known=True),
    Begun("answer\tb\tm\t0", 2.0, known=False),
)


class Journal:
    def __init__(self, left: Left, *, lost: bool = False) -> None:
        self.left, self.lost = left, lost
        self.begun: list[tuple[str, Any, bool]] = []

    async def begin(self, owner: str, head: Mapping[str, Any], *, carried: bool) -> None:
        if self.lost:
            raise LostLock
        self.begun.append((owner, head["seed"], carried))

    async def asking(self, call: str, usd: float) -> None:
        if self.lost:
            raise LostLock

    async def close(self) -> bool:
        return not self.lost


class Paying:
    def __init__(self, *, takes_over: bool = True) -> None:
        self.payer = {"owner": "o-2", "ledgers": []}
        self.takes_over = takes_over
        self.carried: list[Charge] = []
        self.said: list[str] = []

    async def take_over(self, payer: Mapping[str, Any]) -> bool:
        return self.takes_over

    def carry(self, charge: Charge) -> None:
        self.carried.append(charge)

    def hand_over(self) -> None:
        self.said.append("handed over")

    async def close(self) -> None:
        self.said.append("closed")


def begun(left: Left, account: Paying) -> tuple[Journal, Counter[str]]:
    journal, counts = Journal(left), Counter[str]()
    memory = RequestMemory(journal, lambda outcome: counts.update([outcome]))
    asyncio.run(memory.begin(account, "req-1"))
    return journal, counts


def test_what_the_dead_one_had_asked_is_paid_by_the_next_at_worst_where_nobody_knows() -> None:
    account = Paying()
    journal, counts = begun(Left(HEAD, unpaid=UNPAID), account)
    assert journal.begun == [("o-2", 7, True)]
    assert [(c.provider, c.status, c.cost_usd) for c in account.carried] == [
        ("a", "success", 0.25), ("a", "failed", 0.1), ("b", CUT_OFF, 2.0),
    ]  # fmt: skip
    assert account.carried[0].tokens == Tokens(3, 4)
    assert counts == {"unknown": 1}


@each_row(
    "left, takes_over",
    [
        (Left(), True),  # nobody began
        (Left(HEAD, closed=True, unpaid=UNPAID), True),  # it paid for itself
        (Left(HEAD, unpaid=UNPAID), False),  # it was booked whole when its time was over
    ],
)
def test_nothing_is_paid_twice(left: Left, takes_over: bool) -> None:
    account = Paying(takes_over=takes_over)
    journal, counts = begun(left, account)
    assert account.carried == []
    assert not counts
    assert journal.begun[0][2] is False


@each_row("lost, said", [(False, ["closed"]), (True, ["handed over", "closed"])])
def test_who_has_lost_the_question_settles_nothing(lost: bool, said: list[str]) -> None:
    account = Paying()
    memory = RequestMemory(Journal(Left(), lost=lost), lambda _: None)
    asyncio.run(memory.close(account))
    assert account.said == said


async def test_who_has_lost_the_question_makes_no_call_until_it_is_cancelled() -> None:
    memory = RequestMemory(Journal(Left(), lost=True), lambda _: None)
    for waits in (memory.asking(CALL, 1.0), memory.begin(Paying(), "req-1")):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waits, 0.05)


def test_a_reply_that_is_known_is_counted_and_its_provider_has_answered() -> None:
    counts = Counter[str]()
    journal = Journal(Left(HEAD, replies={CALL: "x", "grade\tb\tm\t0": "y"}))
    memory = RequestMemory(journal, lambda outcome: counts.update([outcome]))
    assert (memory.seed, list(memory.answered)) == (7, ["a"])
    assert memory.reply(CALL) == "x"
    assert memory.reply("answer\tc\tm\t0") is None
    assert counts == {"reused": 1}


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
    return Charge("sim-a", "m", "answer", status, usd, Tokens(3, 4), 0.1, "m-2026-11-17")


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
        assert [call.version for call in account.calls] == ["m-2026-11-17"]
        assert account.uncertain == uncertain
        assert await account.afford(3.0 - usd), "what the call did not take is free for others"
        assert await budget.balance() == Balance(0, 3 * NANO), "until its end all of it is held"
        await account.close()
        assert await budget.balance() == Balance(int(usd * NANO), 0), "the rest is given back"

    asyncio.run(main())


async def test_what_others_have_reserved_is_not_free_until_they_settle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("techsapo_ops.serve.answers.metering.WAITS", ())
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
