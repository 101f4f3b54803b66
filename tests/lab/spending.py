"""Apps that spend money in tests: priced providers, many questions at once, and what was spent."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import redis as client
from orchestrator import QUICK
from servers import Server, wait_for

from techsapo_ops.stores.budget_ledger import NANO

PRICED = {name: {**p, "price": {"input": 0.0, "output": 50.0}} for name, p in QUICK.items()}


def settings(port: int, **budget: Any) -> dict[str, Any]:
    return {
        "redis": {"enabled": True, "port": port},
        "providers": PRICED,
        "wallbounce": {"cache_ttl": "0s"},
        "app": {"limits": {"concurrency": 200}},
        "budget": {"monthly_usd": 1000, "count_simulated": True, **budget},
    }


async def flood(urls: list[str], count: int, prompt: str = "") -> list[httpx.Response]:
    """So many questions at once, to each address in turn; all different unless `prompt` is given."""
    limits = httpx.Limits(max_connections=200)
    async with httpx.AsyncClient(trust_env=False, timeout=60, limits=limits) as http:
        return list(
            await asyncio.gather(
                *(
                    http.post(
                        f"{urls[n % len(urls)]}/api/v1/generate", json={"prompt": prompt or f"question {n}"}
                    )
                    for n in range(count)
                )
            )
        )


def within_a_day() -> None:
    """Return once this day by UTC, which budgets go by, lasts for another three minutes."""
    ahead = timedelta(minutes=3)
    wait_for(
        lambda: (datetime.now(UTC) + ahead).date() == datetime.now(UTC).date(), timeout=240, what="a new day"
    )


def spent_today(server: Server) -> float:
    with client.Redis(port=server.port) as link:
        found = [link.get(k) for k in link.scan_iter("techsapo:budget::day:*:spent")]
    return sum(int(v or 0) for v in found) / NANO


def series(app: Server, name: str) -> dict[str, float]:
    """The samples of a metric by their labels, as written."""
    lines = httpx.get(f"{app.url}/metrics", trust_env=False, timeout=60).text.splitlines()
    found = (line.rpartition(" ") for line in lines if line.startswith((f"{name}{{", f"{name} ")))
    return {labels.removeprefix(name): float(value) for labels, _, value in found}


def gauge(app: Server, name: str, period: str) -> float:
    return series(app, f"techsapo_budget_{name}")[f'{{period="{period}"}}']
