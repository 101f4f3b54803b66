"""Budgets on a real Redis: two instances that share it can't spend together what one may not."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from orchestrator import QUICK, ask, log_lines, serving
from servers import Server, redis, wait_for

from techsapo_ops.adapters.budget import EVERYBODY, NANO, BudgetStore, Ledger, OverBudget
from techsapo_ops.adapters.redis_link import RedisLink
from techsapo_ops.spec.models.data import Redis

pytestmark = pytest.mark.lab

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def ledger(usd: float) -> Ledger:
    return Ledger.of(EVERYBODY, "day", usd, NOW)


def stores(server: Server, count: int, spent: int = 0) -> list[BudgetStore]:
    async def before(_: Ledger) -> int:
        return spent

    return [BudgetStore(RedisLink(Redis(port=server.port), "test"), "lab:", before) for _ in range(count)]


def test_of_200_reservations_at_once_exactly_those_that_fit_are_made(tmp_path: Path) -> None:
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
        (standing,) = await pair[0].standings([day])
        assert standing.held == 0
        return outcomes, standing.spent

    with redis(tmp_path) as server:
        outcomes, spent = asyncio.run(main())
    assert outcomes == {"spent": 50, "refused": 150}
    assert spent == NANO // 2


def test_nothing_is_held_where_one_of_several_budgets_has_no_room(tmp_path: Path) -> None:
    async def main() -> None:
        (store,) = stores(server, 1)
        wide, narrow = ledger(10), Ledger.of("key-1", "day", 0.01, NOW)
        with pytest.raises(OverBudget) as refused:
            await store.reserve("a", [wide, narrow], NANO, 60)
        assert refused.value.ledger == narrow
        assert not refused.value.passing
        assert [s.held for s in await store.standings([wide, narrow])] == [0, 0]

    with redis(tmp_path) as server:
        asyncio.run(main())


def test_the_reservation_of_an_instance_that_died_ends_by_itself(tmp_path: Path) -> None:
    async def main() -> None:
        dead, alive = stores(server, 2)
        day = ledger(0.01)
        await dead.reserve("lost", [day], NANO // 100, 1)
        with pytest.raises(OverBudget) as refused:
            await alive.reserve("mine", [day], NANO // 100, 60)
        assert refused.value.passing
        until = time.monotonic() + 10
        while time.monotonic() < until:
            try:
                await alive.reserve("mine", [day], NANO // 100, 60)
                return
            except OverBudget:
                await asyncio.sleep(0.1)
        pytest.fail("the reservation never ended")

    with redis(tmp_path) as server:
        asyncio.run(main())


def test_what_was_spent_while_redis_was_away_is_booked_when_it_is_back(tmp_path: Path) -> None:
    async def main(first: Server) -> None:
        one, two = stores(first, 2)
        day = ledger(1.0)
        await one.reserve("a", [day], NANO // 10, 60)
        await one.settle("a", [day], NANO // 10)
        first.kill()
        await one.reserve("b", [day], NANO // 10, 60)
        (standing,) = await one.settle("b", [day], NANO // 10)
        assert standing.spent == NANO // 5  # it goes on from what it saw last
        with redis(tmp_path / "again", port=first.port):  # an empty one
            await asyncio.sleep(1.1)  # the link's pause
            (standing,) = await one.standings([day])
            assert standing.spent == NANO // 5
            (standing,) = await two.standings([day])
            assert standing.spent == NANO // 5

    with redis(tmp_path / "first") as first:
        asyncio.run(main(first))


def test_a_ledger_that_redis_lost_starts_with_what_the_audit_log_says(tmp_path: Path) -> None:
    async def main() -> None:
        (store,) = stores(server, 1, spent=NANO)
        with pytest.raises(OverBudget) as refused:
            await store.reserve("a", [ledger(1.5)], NANO, 60)
        assert refused.value.standing.spent == NANO

    with redis(tmp_path) as server:
        asyncio.run(main())


PRICED = {name: {**p, "price": {"input": 0.0, "output": 50.0}} for name, p in QUICK.items()}


def settings(port: int, **budget: Any) -> dict[str, Any]:
    return {
        "redis": {"enabled": True, "port": port},
        "providers": PRICED,
        "wallbounce": {"cache_ttl": "0s"},
        "app": {"limits": {"concurrency": 200}},
        "budget": {"monthly_usd": 1000, **budget},
    }


async def flood(urls: list[str], count: int) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(trust_env=False, timeout=60, limits=limits) as client:
        return list(
            await asyncio.gather(
                *(
                    client.post(f"{urls[n % len(urls)]}/api/v1/generate", json={"prompt": f"question {n}"})
                    for n in range(count)
                )
            )
        )


def test_two_instances_under_200_requests_never_spend_more_than_the_budget(tmp_path: Path) -> None:
    with redis(tmp_path / "redis") as server:
        with serving(tmp_path / "probe", **settings(server.port, daily_usd=900)) as app:
            costs = [ask(app, f"question {n}").json()["cost_usd"] for n in range(20)]
        budget = round(50 * sum(costs) / len(costs) + spent_today(server), 6)
        shared = settings(server.port, daily_usd=budget)
        before = spent_today(server)
        with serving(tmp_path / "a", **shared) as a, serving(tmp_path / "b", **shared) as b:
            answers = asyncio.run(flood([a.url, b.url], 200))
            codes = Counter(r.status_code for r in answers)
            assert set(codes) <= {200, 402, 503}, codes
            for n in range(200):  # what the first wave's reservations kept free is spent now
                last = ask((a, b)[n % 2], f"later {n}")
                answers.append(last)
                if last.status_code == 402:
                    break
            spent = sum(r.json()["cost_usd"] for r in answers if r.status_code == 200)
            shared_total = spent_today(server)
            metrics = [gauge(app, "day") for app in (a, b)]
            told = log_lines(a) + log_lines(b)
    print(f"of 200 at once {dict(codes)}; ${shared_total:.6f} of ${budget:.6f}, {len(answers)} requests")
    assert last.status_code == 402, "the budget was never used up"
    problem = last.json()
    assert problem["code"] == "budget_exhausted"
    assert problem["reset"] > datetime.now(UTC).isoformat()
    assert int(last.headers["retry-after"]) > 0
    assert shared_total <= budget
    assert spent + before == pytest.approx(shared_total, abs=1e-6)
    assert spent > 0.8 * (budget - before), (spent, budget, before)
    assert {line["message"] for line in told} >= {"Budget is nearly used up"}
    assert max(metrics) == pytest.approx(100 * shared_total / budget, rel=0.05)


def spent_today(server: Server) -> float:
    import redis as client

    with client.Redis(port=server.port) as link:
        found = [link.get(k) for k in link.scan_iter("techsapo:budget::day:*:spent")]
    return sum(int(v or 0) for v in found) / NANO


def gauge(app: Server, period: str) -> float:
    text = httpx.get(f"{app.url}/metrics", trust_env=False).text
    name = f'techsapo_budget_utilization_percent{{period="{period}"}} '
    return float(next(line for line in text.splitlines() if line.startswith(name)).rpartition(" ")[2])


def test_the_gauge_of_both_instances_is_what_both_have_spent(tmp_path: Path) -> None:
    with redis(tmp_path / "redis") as server:
        shared = settings(server.port, daily_usd=10)
        with serving(tmp_path / "a", **shared) as a, serving(tmp_path / "b", **shared) as b:
            cost = ask(a, "one").json()["cost_usd"] + ask(b, "two").json()["cost_usd"]
            for app in (a, b):
                wait_for(
                    lambda app=app: gauge(app, "day") == pytest.approx(10 * cost, rel=1e-3),
                    what="the same figure",
                )


def test_a_restart_does_not_forget_what_was_spent(tmp_path: Path) -> None:
    alone = {"providers": PRICED, "budget": {"monthly_usd": 1000, "daily_usd": 10}}
    with serving(tmp_path, **alone) as app:
        cost = ask(app, "one").json()["cost_usd"]
        assert cost > 0
    with serving(tmp_path, **alone) as app:
        wait_for(lambda: gauge(app, "day") == pytest.approx(10 * cost, rel=1e-3), what="figure of before")
