"""Providers at 200 concurrent calls against bare aiohttp: processor time of a call, memory, calls a second.

Upstream answers after 50 ms. Each is measured in a process of its own, in the same run. The ratio is of
processor time, which a busy machine disturbs least; the rate beside it is what the machine let through.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from tests.bench.row import Row
from tests.bench.served import provider, upstream

CONCURRENT = 200
SECONDS = 1.2
KINDS = ("openai-compatible", "openai", "anthropic", "google", "openrouter")
BOUND = 2.4
"""Largest time per call, as a multiple of bare aiohttp's."""
RSS_ONE, RSS_ALL = 80.0, 80.0
"""MB with one kind and with all of them."""


def run() -> Iterator[Row]:
    """Measure bare aiohttp before and after the providers, and take the better as the baseline."""
    with upstream() as url:
        first = _worker("bare", url)
        measured = {kind: _worker(kind, url) for kind in KINDS}
        everything = _worker("all", url)
        second = _worker("bare", url)
    base = min(first["cpu"], second["cpu"])
    most = max(first["rate"], second["rate"])
    print(f"bare aiohttp {most:,.0f} calls/s at {CONCURRENT} concurrent")
    for kind, row in measured.items():
        yield Row(f"{kind} {row['rate']:,.0f} calls/s", row["cpu"], base, BOUND, "µs")
    bare = first["rss"]
    one = max(measured[kind]["rss"] for kind in KINDS)
    yield Row("RSS one kind", one, bare, RSS_ONE / bare, "MB")
    yield Row("RSS all kinds", everything["rss"], bare, RSS_ALL / bare, "MB")


def _worker(kind: str, url: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.providers", kind, url], capture_output=True, text=True, check=True
    )
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


async def _rate(call: Callable[[], Awaitable[object]], seconds: float = SECONDS) -> tuple[float, float]:
    """Calls a second of `call` by CONCURRENT loops, and µs of processor time per call."""
    await asyncio.gather(*(call() for _ in range(CONCURRENT)))  # opens the connections, fills caches
    done = 0
    end = time.perf_counter() + seconds

    async def loop() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await call()
            done += 1

    started, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(loop() for _ in range(CONCURRENT)))
    return done / (time.perf_counter() - started), (time.process_time() - used) * 1e6 / done


async def _bare(url: str) -> tuple[float, float]:
    import aiohttp

    from techsapo_ops.wallbounce.examination.prompts import answer_prompt
    from techsapo_ops.wallbounce.question import Question
    from tests.bench.upstream import chat_body

    question = Question("ディスクが一杯です", "ja")
    body = chat_body(answer_prompt(question))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=512)) as session:

        async def call() -> None:
            async with session.post(f"{url}/v1/chat/completions", data=body) as response:
                json.loads(await response.read())

        return await _rate(call)


async def _providers(kinds: list[str], url: str) -> tuple[float, float]:
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.wallbounce.providers.provider import AskAnswer
    from techsapo_ops.wallbounce.providers.registry import build_registry
    from techsapo_ops.wallbounce.question import Question

    registry = build_registry(
        Spec.model_validate({"project": "p", "providers": {kind: provider(kind, url) for kind in kinds}}), {}
    )
    await registry.warm()
    ask = AskAnswer(Question("ディスクが一杯です", "ja"))
    measured = [
        await _rate(partial(provider.call, ask), SECONDS / len(kinds)) for provider in registry.usable
    ]
    await registry.close()
    return min(measured)


def _measure(kind: str, url: str) -> None:
    import psutil
    import uvloop

    kinds = list(KINDS) if kind == "all" else [kind]
    rate, cpu = uvloop.run(_bare(url) if kind == "bare" else _providers(kinds, url))
    print(json.dumps({"rate": rate, "cpu": cpu, "rss": psutil.Process().memory_info().rss / 1e6}))


if __name__ == "__main__":
    _measure(sys.argv[1], sys.argv[2])
