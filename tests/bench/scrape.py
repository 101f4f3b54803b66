"""Scrapes of 5,000 series: beside /ping under load, idle, and what collecting them costs.

The app runs in a process of its own and is asked over loopback. Bounds are those that the product promises,
on a machine of two cores: p99 of a scrape under load 250 ms with /ping at 50 ms, and at a scrape
every 15 s less than 1 % of a processor and 50 MB.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.bench.prober import quantile
from tests.bench.row import Row

SERIES = 5_000
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
"""What Prometheus asks for: with exemplars, the dearer of the two formats."""
SCRAPES, PINGS, ASKERS = 40, 400, 4
INTERVAL = 15.0


def run() -> Iterator[Row]:
    """Measure one app that has the series and is idle, then the same one under load."""
    with tempfile.TemporaryDirectory() as directory:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.scrape", directory],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            port, small = (int(n) for n in process.stdout.readline().split())
            found = asyncio.run(_measure(f"http://127.0.0.1:{port}", process, small))
        finally:
            process.communicate()
    yield Row("scrape idle, median", found["idle"], 250.0, 1.0)
    yield Row("all series changed, median", found["changed"], 250.0, 1.0)
    yield Row("all changed, under load, p99", found["loaded"], 250.0, 1.0)
    yield Row("/ping under load, p99", found["ping"], 50.0, 1.0)
    yield Row("/ping, scrapes or none, p99", found["ping"], found["alone"], 10.0)
    yield Row("CPU at a scrape every 15 s", found["cpu"], 1.0, 1.0, "%")
    yield Row("memory of the series", found["memory"], 50.0, 1.0, "MB")


async def _measure(url: str, app: subprocess.Popen[str], small: int) -> dict[str, float]:
    process = psutil.Process(app.pid)
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
        text = (await client.get("/metrics")).text
        assert text.count("\n") - text.count("# ") >= SERIES
        idle = await _repeat(client, "/metrics", SCRAPES)
        before = sum(process.cpu_times()[:2])
        changed = await _repeat(client, "/metrics", SCRAPES, first=app)
        cpu = 100 * (sum(process.cpu_times()[:2]) - before) / SCRAPES / INTERVAL
        memory = (process.memory_info().rss - small) / 1e6
        over = asyncio.Event()
        askers = [asyncio.create_task(_ask(client, n, over)) for n in range(ASKERS)]
        alone = await _repeat(client, "/ping", PINGS)
        scraping = asyncio.create_task(_repeat(client, "/metrics", SCRAPES, first=app))
        pings = []
        while not scraping.done():
            pings += await _repeat(client, "/ping", 10)
        over.set()
        await asyncio.gather(*askers)
    return {
        "idle": quantile(idle, 0.5), "changed": quantile(changed, 0.5), "cpu": cpu, "memory": memory,
        "loaded": quantile(scraping.result(), 0.99), "ping": quantile(pings, 0.99),
        "alone": quantile(alone, 0.99),
    }  # fmt: skip


async def _timed(client: httpx.AsyncClient, path: str) -> float:
    began = time.perf_counter()
    (await client.get(path, headers={"Accept": OPENMETRICS})).raise_for_status()
    return 1000 * (time.perf_counter() - began)


async def _repeat(
    client: httpx.AsyncClient, path: str, count: int, first: subprocess.Popen[str] | None = None
) -> list[float]:
    """Times of `count` requests; `first` is the app whose series all change before each."""
    times = []
    for _ in range(count):
        if first is not None:
            await asyncio.to_thread(_change, first)
        times.append(await _timed(client, path))
        await asyncio.sleep(0.02)
    return times


def _change(app: subprocess.Popen[str]) -> None:
    assert app.stdin is not None
    assert app.stdout is not None
    app.stdin.write("change\n")
    app.stdin.flush()
    assert app.stdout.readline()


async def _ask(client: httpx.AsyncClient, number: int, over: asyncio.Event) -> None:
    asked = 0
    while not over.is_set():
        asked += 1
        await client.post("/api/v1/generate", json={"prompt": f"question {number} {asked}"})
        await asyncio.sleep(0.05)


def _serve(directory: Path) -> None:
    """Serve an app with SERIES series, such as many providers and models bring, until stdin ends."""
    import logging
    import threading

    import structlog
    import uvicorn

    from techsapo_ops.serve.app import App
    from techsapo_ops.serve.options import Options
    from techsapo_ops.spec.models import Spec

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    quick: dict[str, Any] = {
        f"sim-{n}": {"kind": "simulated", "seed": n, "accuracy": 1, "latency": "1ms"} for n in "123"
    }
    spec = Spec.model_validate({"project": "bench", "redis": {"enabled": False}, "providers": quick})
    app = App(Options(spec, "app-1", directory))
    config = uvicorn.Config(app.asgi, port=0, log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    small = psutil.Process().memory_info().rss

    def change() -> None:
        for n in range(SERIES // 18 + 1):  # a histogram of 16 buckets has 19 series
            app.metrics.http("GET", f"/bench/{n}", 200, 0.1, f"req-{n}")

    change()
    print(server.servers[0].sockets[0].getsockname()[1], small, flush=True)
    for _ in sys.stdin:
        change()
        print(flush=True)
    server.should_exit = True
    thread.join()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
