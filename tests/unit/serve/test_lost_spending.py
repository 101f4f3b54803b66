"""A budget whose record is gone: rebuilt from the audit log, else it counts as spent until it is reset."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from audit_rows import ROW
from orchestrator import client_of, make_spec

from techsapo_ops.adapters.address import Address
from techsapo_ops.serve.answers import budget_history
from techsapo_ops.serve.answers.budget_history import BudgetHistory
from techsapo_ops.serve.app import App
from techsapo_ops.serve.options import Options
from techsapo_ops.spec.models.servers import Mysql
from techsapo_ops.stack.data_notes import MARK, BudgetNote, Gap
from techsapo_ops.stores.audit.database import audit_server
from techsapo_ops.stores.audit.log import AuditLog, Unreadable
from techsapo_ops.stores.budget import BudgetStore
from techsapo_ops.stores.budget_ledger import EVERYBODY, NANO, Balance, Ledger, SpendingUnknown
from techsapo_ops.stores.redis_link import RedisLink

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
COUNTED = {"budget": {"daily_usd": 5.0, "monthly_usd": 1000.0, "count_simulated": True}}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget_history, "READ_EVERY", 0.0)


@pytest.fixture
def note(tmp_path: Path) -> Path:
    return tmp_path / "note.json"


def log_with(data: Path, *rows: tuple[float, datetime]) -> None:
    """An audit log of rows of such a cost at such a time."""
    data.mkdir(parents=True, exist_ok=True)
    log = AuditLog(None, data)
    log.start()
    for cost, at in rows:
        log.put(replace(ROW, id=f"{at.timestamp():032.6f}", time=at, simulated=True, cost_usd=cost))
    log.close()


def app_of(tmp_path: Path, **sections: Any) -> App:
    spec = make_spec(**{**COUNTED, **sections})
    return App(Options(spec, "app-1", tmp_path / "data", budget_note=tmp_path / "note.json"))


def ask(app: App, between: Callable[[], None] = lambda: None, times: int = 1) -> list[httpx.Response]:
    async def main() -> list[httpx.Response]:
        found = []
        async with client_of(app) as client:
            for n in range(times):
                if n:
                    between()
                found.append(await client.post("/api/v1/generate", json={"prompt": f"502 {n}"}))
        return found

    return asyncio.run(main())


def day_of(app: App) -> Balance:
    return asyncio.run(app.spending.store.balances([app.spending.ledgers()[0]]))[0]


def history(tmp_path: Path, *, began: datetime | None = None) -> BudgetHistory:
    data = tmp_path / "data"
    found = BudgetHistory(AuditLog(None, data), "app-1", data, tmp_path / "note.json", 5.0, simulated=True)
    return found if began is None else replace(found, _began=began)


def test_a_stack_that_was_never_applied_starts_at_zero(tmp_path: Path) -> None:
    app = app_of(tmp_path)
    assert day_of(app) == Balance(0, 0)
    assert ask(app)[0].status_code == 200


def test_a_process_that_starts_anew_goes_on_from_the_audit_log(tmp_path: Path, note: Path) -> None:
    now = datetime.now(UTC)
    log_with(tmp_path / "data", (4.999, now))
    (tmp_path / "data" / MARK).touch()
    note.write_text(BudgetNote({"app-1": now - DAY}).text())
    app = app_of(tmp_path)
    assert day_of(app) == Balance(4_999_000_000, 0)
    (answer,) = ask(app)
    assert answer.status_code == 402
    assert "is too low for this question" in answer.json()["detail"]


def test_where_the_audit_log_is_gone_the_day_counts_as_spent_and_the_reason_names_the_way_out(
    tmp_path: Path, note: Path
) -> None:
    note.write_text(BudgetNote({"app-1": NOW - DAY}).text())
    app = app_of(tmp_path)
    assert day_of(app) == Balance(5 * NANO, 0)
    (answer,) = ask(app)
    assert (answer.status_code, answer.json()["code"]) == (402, "budget_exhausted")
    assert "rows of the audit log are lost" in answer.json()["detail"]
    assert "`techsapo answers reset-budget day`" in answer.json()["detail"]
    assert day_of(app_of(tmp_path)) == Balance(5 * NANO, 0), "also by the log that was made in its place"


def test_a_reset_lets_a_running_app_start_at_zero(tmp_path: Path, note: Path) -> None:
    lost = BudgetNote({"app-1": NOW - DAY})
    note.write_text(lost.text())
    now = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    resets = {"day": now, "month": now}

    def reset() -> None:
        note.write_text(replace(lost, audit_since={}, resets=resets).text())

    refused, answered = ask(app_of(tmp_path), reset, times=2)
    assert (refused.status_code, answered.status_code) == (402, 200)


def test_what_was_spent_before_a_reset_does_not_count_and_what_after_does(tmp_path: Path, note: Path) -> None:
    now = datetime.now(UTC)
    log_with(tmp_path / "data", (4.0, now - timedelta(seconds=5)), (1.0, now))
    note.write_text(BudgetNote(resets={"day": now - timedelta(seconds=2)}).text())
    assert day_of(app_of(tmp_path)) == Balance(NANO, 0)


async def test_a_gap_of_yesterday_is_none_of_todays_and_one_day_of_the_months(
    tmp_path: Path, note: Path
) -> None:
    then = datetime(2026, 1, 20, 12, tzinfo=UTC)
    log_with(tmp_path / "data", (0.5, datetime(2026, 1, 2, tzinfo=UTC)))
    gap = Gap(datetime(2026, 1, 1, tzinfo=UTC), then, then + timedelta(hours=2))
    note.write_text(BudgetNote(gaps=(gap,)).text())  # noqa: ASYNC240
    known = history(tmp_path)
    of = Ledger.of
    assert await known.unaccounted(of(EVERYBODY, "day", 5.0, then)) == 5 * NANO
    assert await known.unaccounted(of(EVERYBODY, "day", 5.0, then + DAY)) == 0
    assert await known.unaccounted(of(EVERYBODY, "month", 1000.0, then)) == 5 * NANO, "rows came back"
    assert await known.unaccounted(of(EVERYBODY, "month", 1000.0, then + 20 * DAY)) == 0


def test_of_a_month_whose_rows_are_all_gone_each_day_until_then_counts_as_spent(
    tmp_path: Path, note: Path
) -> None:
    then = datetime(2026, 1, 20, 12, tzinfo=UTC)
    note.write_text(BudgetNote(gaps=(Gap(then - 30 * DAY, then, then),)).text())
    month = Ledger.of(EVERYBODY, "month", 1000.0, then)
    assert asyncio.run(history(tmp_path).unaccounted(month)) == 20 * 5 * NANO


def test_a_log_that_can_not_be_read_counts_as_spent_until_it_can(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "audit.sqlite").write_bytes(b"no database at all" * 100)
    app = app_of(tmp_path)
    assert day_of(app) == Balance(5 * NANO, 0, known=False)

    refused, answered = ask(app, (tmp_path / "data" / "audit.sqlite").unlink, times=2)
    assert refused.status_code == 402
    assert "the audit log can't be read" in refused.json()["detail"]
    assert "`techsapo answers reset-budget day`" in refused.json()["detail"]
    assert answered.status_code == 200
    assert app.spending.exhausted()[0][1] == 0, "no budget was used up"


def test_a_day_that_began_while_this_process_ran_starts_at_zero_while_the_database_is_away(
    tmp_path: Path,
) -> None:
    (tmp_path / "data").mkdir()
    away = AuditLog(audit_server(Mysql(port=1), (Address("127.0.0.1", 1),)), tmp_path / "data")
    with pytest.raises(Unreadable):
        away.spent_since(NOW, None)
    known = replace(history(tmp_path, began=NOW - 2 * DAY), audit=away)
    today, before = (Ledger.of(EVERYBODY, "day", 5.0, NOW - n * DAY) for n in (0, 3))
    assert asyncio.run(known.spent_before(today)) == 0
    with pytest.raises(SpendingUnknown):
        asyncio.run(known.spent_before(before))


def test_a_damaged_note_leaves_what_was_known_of_it(tmp_path: Path, note: Path) -> None:
    known = history(tmp_path)
    note.write_text(BudgetNote(resets={"day": NOW}).text())
    assert known.reset("day") == NOW
    note.write_text("{")
    assert known.reset("day") == NOW


def test_a_store_alone_refuses_what_nobody_knows_and_books_what_was_spent(tmp_path: Path) -> None:
    readable = False

    async def before(ledger: Ledger) -> int:
        if not readable:
            raise SpendingUnknown(ledger)
        return NANO

    async def main() -> None:
        nonlocal readable
        store = BudgetStore(RedisLink(None, "budgets"), "", before)
        day, other = (Ledger.of(scope, "day", 5.0, NOW) for scope in ("", "key"))
        with pytest.raises(SpendingUnknown) as refused:
            await store.reserve("a", [day], 1, 60)
        assert not refused.value.passing
        assert await store.balances([day]) == [Balance(5 * NANO, 0, known=False)]
        assert await store.settle("a", [other], 3) == [Balance(5 * NANO + 3, 0)]
        readable = True
        assert await store.reserve("a", [day], 1, 60) == [Balance(NANO, 1)]

    asyncio.run(main())


def test_what_is_unaccounted_is_never_more_than_the_limit_and_takes_nothing_from_what_was_spent() -> None:
    async def begins(spent: int, lost: int) -> int:
        async def before(_: Ledger) -> int:
            return spent

        async def unaccounted(_: Ledger) -> int:
            return lost

        store = BudgetStore(RedisLink(None, "budgets"), "", before, unaccounted=unaccounted)
        return (await store.balances([Ledger.of("", "day", 5.0, NOW)]))[0].spent

    assert asyncio.run(begins(1, 2)) == 3
    assert asyncio.run(begins(NANO, 50 * NANO)) == 5 * NANO
    assert asyncio.run(begins(7 * NANO, 50 * NANO)) == 7 * NANO


def test_a_ledger_that_was_reset_is_one_of_its_own_until_its_period_ends() -> None:
    at = datetime(2026, 1, 20, 12, tzinfo=UTC)
    plain, anew = Ledger.of("", "day", 5, at), Ledger.of("", "day", 5, at, at)
    assert anew.key != plain.key
    assert (anew.start, anew.reset) == (at, plain.reset)
    assert Ledger.of("", "day", 5, at + DAY, at) == Ledger.of("", "day", 5, at + DAY)
    month = Ledger.of("", "month", 5, at + DAY, at)
    assert (month.start, month.reset) == (at, datetime(2026, 2, 1, tzinfo=UTC))
