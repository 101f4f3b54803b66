"""Ten thousand requests leave nothing behind."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import aiohttp
import httpx
import psutil
import pytest
from orchestrator import serving
from servers import Server, redis, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.nightly]

REDIS_POOLS = 3 * 18
"""The answer cache, kept replies, and budgets with locks: a connection for each client at the most."""
GROWTH = 10 * 1024**2


async def ask_many(server: Server, first: int, count: int) -> None:
    """`count` questions, every twentieth new, some as streams, some of clients that go away."""
    # aiohttp, as httpx alone would take longer than the app.
    connector = aiohttp.TCPConnector(limit=16)
    async with aiohttp.ClientSession(f"{server.url}/", connector=connector) as client:

        async def post(prompt: str, seconds: float = 30.0, **headers: str) -> None:
            timeout = aiohttp.ClientTimeout(total=seconds)
            body = {"prompt": prompt}
            async with client.post("api/v1/generate", json=body, headers=headers, timeout=timeout) as answer:
                assert answer.status == 200, await answer.text()
                await answer.read()

        async def worker(numbers: range) -> None:
            for n in numbers:
                if n % 101 == 0:
                    with suppress(TimeoutError):
                        await post(f"gone {n}", seconds=0.002)
                    continue
                stream = {"Accept": "text/event-stream"} if n % 7 == 0 else {}
                await post(f"question {n // 20}", **stream)

        await asyncio.gather(*(worker(range(first + w, first + count, 16)) for w in range(16)))


def test_ten_thousand_requests_leave_no_memory_socket_or_file_behind(tmp_path: Path) -> None:
    with redis(tmp_path / "redis") as server:
        settings = {
            "redis": {"enabled": True, "port": server.port},
            "budget": {"monthly_usd": 100_000, "count_simulated": True},
            "logs": {"level": "error"},
        }
        # Started as it ships: what a fork shares with its parent is no memory of its own.
        with serving(tmp_path / "app", prefix=("/usr/bin/env",), **settings) as app:
            process = psutil.Process(app.process.pid)
            asyncio.run(ask_many(app, 0, 2500))  # pools and caches are filled
            wait_for(lambda: inflight(app) == 0, what="quiet")
            before = process.memory_info().rss
            files = process.num_fds() - pooled(process, server.port)
            asyncio.run(ask_many(app, 2500, 10_000))
            wait_for(lambda: inflight(app) == 0, what="quiet")
            wait_for(lambda: connections(process, app.port) <= 1, what="no connection left")
            pool = pooled(process, server.port)
            other = process.num_fds() - pool
            grown = process.memory_info().rss - before
    print(f"RSS {before / 1024**2:.1f} MiB, grown {grown / 1024**2:.1f} MiB; {other} files, {pool} to Redis")
    assert grown < GROWTH
    assert other <= files, "files or sockets are left"
    assert pool <= REDIS_POOLS, "connections to Redis grow without bound"


def pooled(process: psutil.Process, port: int) -> int:
    """Connections to Redis that are kept for the next request."""
    return sum(bool(c.raddr) and c.raddr.port == port for c in process.net_connections(kind="tcp"))


def inflight(app: Server) -> float:
    text = httpx.get(f"{app.url}/metrics", trust_env=False, timeout=60).text
    line = next(x for x in text.splitlines() if x.startswith("techsapo_inflight_analyses "))
    return float(line.rpartition(" ")[2])


def connections(process: psutil.Process, port: int) -> int:
    return sum(
        c.status == psutil.CONN_ESTABLISHED and c.laddr.port == port
        for c in process.net_connections(kind="tcp")
    )
