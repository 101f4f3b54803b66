"""Budgets on a real Redis: two instances that share it can't spend together what one may not."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis as client
from orchestrator import ask, log_lines, serving, share_key
from servers import Server, redis, wait_for
from spending import PRICED, flood, gauge, series, settings, spent_today, within_a_day

from techsapo_ops.adapters.process import SubprocessRunner
from techsapo_ops.adapters.redis import RedisServer
from techsapo_ops.services.redis.contents import keep_spent, spent
from techsapo_ops.stack.backup import Door
from techsapo_ops.stores.budget import BudgetStore
from techsapo_ops.stores.budget_ledger import (
    EVERYBODY,
    NANO,
    Balance,
    Ledger,
    Lost,
    OverBudget,
    SpendingUnknown,
)
from techsapo_ops.stores.redis_link import RedisLink

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def running_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(autouse=True)
def _within_a_day() -> None:
    within_a_day()


@pytest.fixture
def server(running_redis: Server) -> Server:
    """A Redis that holds nothing yet."""
    with client.Redis(port=running_redis.port) as link:
        link.flushall()
    return running_redis


NOW = datetime(2026, 11, 24, tzinfo=UTC)


def ledger(usd: float) -> Ledger:
    return Ledger.of(EVERYBODY, "day", usd, NOW)


def stores(
    server: Server, count: int, spent: int = 0, lost: Callable[[Lost], None] = lambda _: None
) -> list[BudgetStore]:
    async def before(_: Ledger) -> int:
        return spent

    redis = RedisServer("127.0.0.1", server.port)
    return [BudgetStore(RedisLink(redis, "test"), "lab:budget:", before, lost) for _ in range(count)]


def test_of_200_reservations_at_once_exactly_those_that_fit_are_made(server: Server) -> None:
    async def main() -> tuple[Counter[str], int]:
        pair = stores(server, 2)
        day = ledger(0.50)
        outcomes: Counter[str] = Counter()

        async def one(n: int) -> None:
            store = pair[n % 2]
            try:
                await store.reserve(f"r{n}", [day], NANO // 100, 60)
            except OverBudget:
                outcomes["refused"] += 1
            else:
                await asyncio.sleep(0.01)
                await store.settle(f"r{n}", [day], NANO // 100)
                outcomes["spent"] += 1

        await asyncio.gather(*(one(n) for n in range(200)))
        (balance,) = await pair[0].balances([day])
        assert balance.held == 0
        return outcomes, balance.spent

    outcomes, spent = asyncio.run(main())
    assert outcomes == {"spent": 50, "refused": 150}
    assert spent == NANO // 2


def test_what_redis_says_was_spent_is_read_to_the_last_digit_and_never_lowered(server: Server) -> None:
    door = Door(SubprocessRunner(), options=("-p", str(server.port)))

    async def spend(amount: int, open_: int) -> None:
        (store,) = stores(server, 1)
        for each in (ledger(10**6), Ledger.of("k", "month", 10**6, NOW)):
            await store.settle("a", [each], amount)
            await store.reserve("died", [each], open_, 60)

    asyncio.run(spend(123456789012345, 7))
    before = spent(door, "lab")
    names = ("lab:budget::day:2026-11-24:spent", "lab:budget:k:month:2026-11:spent")
    assert before == dict.fromkeys(names, 123456789012352)
    assert spent(door, "other") == {}
    with client.Redis(port=server.port) as link:
        link.delete(names[0], names[0].replace("spent", "open"))
        link.set(names[1], 5)  # and what was reserved then is there
        keep_spent(door, before)
        assert link.get(names[0]) == b"123456789012352"
        assert 39 * 86400 < link.ttl(names[0]) <= 40 * 86400
        assert spent(door, "lab") == before
        link.incr(names[0])
        keep_spent(door, before)
        assert link.get(names[0]) == b"123456789012353", "more than before stays"
        keep_spent(door, {})


def test_a_record_that_vanished_from_redis_is_rebuilt_and_counts_as_spent_where_it_can_not_be(
    server: Server,
) -> None:
    audited: list[int | None] = [0]

    async def before(ledger: Ledger) -> int:
        if audited[0] is None:
            raise SpendingUnknown(ledger)
        return audited[0]

    def store() -> BudgetStore:
        return BudgetStore(RedisLink(RedisServer("127.0.0.1", server.port), "test"), "lab:", before)

    def flush() -> None:
        with client.Redis(port=server.port) as link:
            link.flushall()

    async def main() -> None:
        day, running = ledger(1.0), store()
        await running.reserve("a", [day], NANO // 4, 60)
        await running.settle("a", [day], NANO // 4)
        audited[0] = NANO // 4
        flush()
        assert await running.balances([day]) == [Balance(NANO // 4, 0)]
        audited[0] = None
        flush()
        assert await running.balances([day]) == [Balance(NANO // 4, 0)], "this instance has seen it"
        flush()
        anew = store()
        with pytest.raises(SpendingUnknown):
            await anew.reserve("b", [day], 1, 60)
        assert await anew.adopt("b", [day], 60) is None
        assert await anew.balances([day]) == [Balance(NANO, 0, known=False)]
        audited[0] = NANO // 2
        assert await anew.reserve("b", [day], 1, 60) == [Balance(NANO // 2, 1)]

    asyncio.run(main())


def test_nothing_is_held_where_one_of_several_budgets_has_no_room(server: Server) -> None:
    async def main() -> None:
        (store,) = stores(server, 1)
        wide, narrow = ledger(10), Ledger.of("key-1", "day", 0.01, NOW)
        with pytest.raises(OverBudget) as refused:
            await store.reserve("a", [wide, narrow], NANO, 60)
        assert refused.value.ledger == narrow
        assert not refused.value.passing
        assert [s.held for s in await store.balances([wide, narrow])] == [0, 0]

    asyncio.run(main())


def test_the_reservation_of_an_instance_that_died_is_booked_once_after_its_life(server: Server) -> None:
    found: list[Lost] = []

    async def main() -> None:
        dead, alive, other = stores(server, 3, lost=found.append)
        day, month = ledger(0.02), Ledger.of(EVERYBODY, "month", 1, NOW)
        await dead.reserve("lost", [day, month], NANO // 100, 1)
        with pytest.raises(OverBudget) as refused:
            await alive.reserve("mine", [day, month], NANO * 3 // 200, 60)
        assert refused.value.passing
        until = time.monotonic() + 10
        while refused.value.passing and time.monotonic() < until:
            await asyncio.sleep(0.1)
            with pytest.raises(OverBudget) as refused:
                await alive.reserve("mine", [day, month], NANO * 3 // 200, 60)
        assert refused.value.balance == Balance(NANO // 100, 0)
        await alive.reserve("mine", [day, month], NANO // 100, 60)
        assert await other.balances([day, month]) == [Balance(NANO // 100, NANO // 100)] * 2
        assert [(each.ledger, each.owner, each.amount) for each in found] == [
            (day, "lost", NANO // 100),
            (month, "lost", NANO // 100),
        ]

    asyncio.run(main())


def booked(server: Server) -> bool:
    with client.Redis(port=server.port) as link:
        return bool(link.keys("lab:budget:*:spent"))


def test_what_was_spent_while_redis_was_away_is_booked_when_it_is_back(tmp_path: Path) -> None:
    async def main(first: Server) -> None:
        one, two = stores(first, 2)
        day = ledger(1.0)
        await one.reserve("a", [day], NANO // 10, 60)
        await one.settle("a", [day], NANO // 10)
        first.kill()
        await one.reserve("b", [day], NANO // 10, 60)
        (balance,) = await one.settle("b", [day], NANO // 10)
        assert balance.spent == NANO // 5  # it goes on from what it saw last
        with redis(tmp_path / "again", port=first.port):  # an empty one
            async with asyncio.timeout(60):  # the link pauses after a failure
                while not booked(first):
                    (balance,) = await one.balances([day])
                    await asyncio.sleep(0.05)
            assert balance.spent == NANO // 5
            (balance,) = await two.balances([day])
            assert balance.spent == NANO // 5

    with redis(tmp_path / "first") as first:
        asyncio.run(main(first))


def test_a_ledger_that_redis_lost_starts_with_what_the_audit_log_says(server: Server) -> None:
    async def main() -> None:
        (store,) = stores(server, 1, spent=NANO)
        with pytest.raises(OverBudget) as refused:
            await store.reserve("a", [ledger(1.5)], NANO, 60)
        assert refused.value.balance.spent == NANO

    asyncio.run(main())


def test_what_an_old_snapshot_of_redis_lacks_after_a_power_cut_is_charged_again_from_the_audit_log(
    server: Server,
) -> None:
    async def main() -> None:
        before, after = stores(server, 1)[0], stores(server, 1, spent=NANO)[0]
        day = ledger(1.5)
        await before.settle(
            "a", [day], NANO // 10
        )  # all that the snapshot has; the log knows of a whole dollar
        deadline = time.monotonic() + 60
        while (await after.balances([day]))[0].spent < NANO:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        with pytest.raises(OverBudget):
            await after.reserve("b", [day], NANO, 60)
        await after.settle("c", [day], NANO // 10)
        assert (await after.balances([day]))[0].spent == NANO + NANO // 10, "once, not with every look"

    asyncio.run(main())


def test_what_a_killed_instance_had_reserved_is_booked_and_blocks_nobody(
    server: Server, tmp_path: Path
) -> None:
    slow = {n: {**p, "latency": "30s"} for n, p in PRICED.items()}
    quick = settings(server.port, daily_usd=10)
    with (
        serving(tmp_path / "a", **{**quick, "providers": slow}) as a,
        serving(tmp_path / "b", **quick) as b,
        client.Redis(port=server.port) as link,
    ):
        hold = threading.Thread(target=lambda: suppressed(a), daemon=True)
        hold.start()
        wait_for(lambda: len(reservations(link)) == 2, what="reserved by day and month")
        a.kill()
        hold.join()
        kept = reservations(link)
        (reserved,) = {int(value.split()[1]) / NANO for _, _, value in kept}
        before = spent_today(server)
        for name, owner, value in kept:  # 150 seconds go by
            link.hset(name, owner, f"1 {value.split()[1]}")
        wait_for(lambda: not reservations(link), what="the other instance books it")
        assert spent_today(server) == pytest.approx(before + reserved)
        assert ask(b, "still here?").status_code == 200
        wait_for(lambda: lost_rows(tmp_path / "b") == [pytest.approx(reserved)], what="audit row")
    told = [line for line in log_lines(b) if line["message"].startswith("An instance died")]
    assert [line["cost"] for line in told] == [pytest.approx(reserved)]


def suppressed(app: Server) -> None:
    with suppress(httpx.HTTPError):
        ask(app, "a question that is never answered")


def reservations(link: Any) -> list[tuple[str, str, str]]:
    """Every open reservation: key, owner, and its expiry and amount."""
    names = [k.decode() for k in link.scan_iter("techsapo:budget:*:open")]
    return [(n, o.decode(), v.decode()) for n in names for o, v in link.hgetall(n).items()]


def lost_rows(directory: Path) -> list[float]:
    with closing(sqlite3.connect(directory / "data" / "audit.sqlite")) as database:
        # The app makes its tables beside its first requests.
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'audit_requests'").fetchall():
            return []
        found = database.execute("SELECT cost_usd FROM audit_requests WHERE status = 'instance_died'")
        return [row[0] for row in found]


def test_a_hundred_identical_questions_over_two_instances_are_one_analysis_that_both_gauges_show(
    server: Server, tmp_path: Path
) -> None:
    slow = {n: {**p, "latency": "400ms"} for n, p in PRICED.items()}
    shared = {**settings(server.port), "providers": slow, "wallbounce": {"cache_ttl": "1m"}}
    share_key(tmp_path / "a", tmp_path / "b")
    with serving(tmp_path / "a", **shared) as a, serving(tmp_path / "b", **shared) as b:
        answers = asyncio.run(flood([a.url, b.url], 100, prompt="the same question"))
        calls = sum(int(v) for app in (a, b) for v in series(app, "techsapo_llm_requests_total").values())
        bodies = [r.json() for r in answers]
        paid = sum(body["cost_usd"] for body in bodies)
        for app in (a, b):
            wait_for(
                lambda app=app: gauge(app, "spent_usd", "day") == pytest.approx(paid, abs=1e-9),
                what="the same figure on both",
            )
    assert {r.status_code for r in answers} == {200}
    assert Counter(body["cache"] for body in bodies) == {"hit": 99, "miss": 1}
    assert len({body["answer"] for body in bodies}) == 1
    assert calls == 4  # two answers and two gradings
    assert spent_today(server) == pytest.approx(paid, abs=1e-9)
