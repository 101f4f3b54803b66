"""A budget on a real Redis: two instances that share it can't spend together what one may not."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from orchestrator import ask, log_lines, serving
from servers import Server, redis, wait_for
from spending import flood, gauge, settings, spent_today, within_a_day

pytestmark = pytest.mark.needs("redis-server")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with redis(tmp_path_factory.mktemp("redis")) as made:
        yield made


def test_two_instances_under_200_requests_never_spend_more_than_the_budget(
    server: Server, tmp_path: Path
) -> None:
    within_a_day()
    with serving(tmp_path / "probe", **settings(server.port, daily_usd=900)) as app:
        costs = [ask(app, f"question {n}").json()["cost_usd"] for n in range(20)]
    before = spent_today(server)
    budget = round(50 * sum(costs) / len(costs) + before, 6)
    shared = settings(server.port, daily_usd=budget)
    with serving(tmp_path / "a", **shared) as a, serving(tmp_path / "b", **shared) as b:
        answers = asyncio.run(flood([a.url, b.url], 200))
        codes = Counter(r.status_code for r in answers)
        assert set(codes) <= {200, 402, 503}, codes
        at_once = spent_today(server)
        assert at_once <= budget
        for n in range(200):  # what the first wave's reservations kept free is spent now
            last = ask((a, b)[n % 2], f"later {n}")
            answers.append(last)
            if last.status_code == 402:
                break
        spent = sum(r.json()["cost_usd"] for r in answers if r.status_code == 200)
        shared_total = spent_today(server)
        wait_for(lambda: gauge(a, "exhausted", "day") + gauge(b, "exhausted", "day") > 0, what="gauge")
        percents = [gauge(app, "utilization_percent", "day") for app in (a, b)]
        told = log_lines(a) + log_lines(b)
    print(f"of 200 at once {dict(codes)}, ${at_once:.6f}; then ${shared_total:.6f} of ${budget:.6f}")
    assert last.status_code == 402, "the budget was never used up"
    problem = last.json()
    assert problem["code"] == "budget_exhausted"
    assert problem["reset"] > datetime.now(UTC).isoformat()
    assert int(last.headers["retry-after"]) > 0
    assert shared_total <= budget
    assert spent + before == pytest.approx(shared_total, abs=1e-6)
    assert spent > 0.8 * (budget - before), (spent, budget, before)
    messages = Counter(line["message"] for line in told)
    assert messages["Budget is nearly used up"] >= 1
    assert 1 <= messages["Budget has no room for a question"] <= 2  # once by each instance that saw it
    assert max(percents) == pytest.approx(100 * shared_total / budget, rel=0.05)
