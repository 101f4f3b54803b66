"""The memory of an instance: what its process loads and leaves behind, and what its cgroup says of it."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import weakref
from contextvars import Context, copy_context
from pathlib import Path

import httpx
import pytest
from instances import within
from orchestrator import QUICK, make_app
from rows import each_row

from techsapo_ops.adapters.resources import HostUsage
from techsapo_ops.serve.app import App
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.providers import SimulatedProvider
from techsapo_ops.stores.flights import Flight
from techsapo_ops.wallbounce.context import Event
from techsapo_ops.wallbounce.orchestrator import WallBounce
from techsapo_ops.wallbounce.providers.guarded import Guarded
from techsapo_ops.wallbounce.providers.provider import Ask, Reply
from techsapo_ops.wallbounce.providers.simulated import Simulated
from techsapo_ops.wallbounce.question import Question, policy_of

QUESTIONS = 3


def test_an_analysis_leaves_no_circle_for_the_garbage_collector(tmp_path: Path) -> None:
    # Under load the collector took a third of the processor, half of it for circles of our own.
    app = make_app(tmp_path, providers={**QUICK, "sim-b": {**QUICK["sim-b"], "error_rate": 0.5}})
    assert circles(app) == []
    exposed = app.metrics.render("")[0].decode()
    for status in ("success", "error"):
        labels = f'model="simulated-2",provider="sim-b",status="{status}",task_type="basic"'
        calls = exposed.partition(f"techsapo_llm_requests_total{{{labels}}} ")[2]
        assert float(calls.split()[0]) > 0, "analyses with and without a failure were tried"


def test_what_an_analysis_opened_does_not_keep_its_answer() -> None:
    # 600 pooled connections kept 200 documents, with all answers and grades: 5 MB.
    kept: list[Context] = []

    class Pooling(Simulated):
        async def call(self, ask: Ask) -> Reply:
            kept.append(copy_context())  # what uvloop keeps with a connection
            return await super().call(ask)

    providers = [Guarded(Pooling(n, SimulatedProvider(kind="simulated", latency="0s"))) for n in "ab"]
    flight = Flight[str, Event]()
    gone = weakref.ref(flight)
    bounce = WallBounce(providers, policy_of(Spec.model_validate({"project": "p"})))
    asyncio.run(bounce.analyse(Question("q", "en"), "basic", hear=(flight.tell,)))
    assert flight.events
    del flight
    assert kept
    assert gone() is None, [list(each.items()) for each in kept]


def circles(app: App) -> list[str]:
    """Names of our own types among what only the garbage collector frees after some questions."""

    async def work(client: httpx.AsyncClient) -> list[str]:
        async def ask(prompt: str) -> None:
            for accept in ("application/json", "text/event-stream"):
                body = {"prompt": f"{prompt} {accept}"}
                await client.post("/api/v1/generate", json=body, headers={"accept": accept})

        await ask("the first one fills caches")
        gc.collect()
        gc.freeze()  # an exception that an earlier test kept may be let go meanwhile
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            for n in range(QUESTIONS):
                await ask(f"question {n}")
            await asyncio.sleep(0.05)
            gc.collect()
            kinds = (type(each) for each in gc.garbage)
            return [kind.__name__ for kind in kinds if kind.__module__.startswith("techsapo_ops")]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.unfreeze()

    return within(app, work)


PROGRAM = """
import asyncio, sys
from pathlib import Path

from techsapo_ops.adapters.http import preload
from techsapo_ops.serve.http import server
from techsapo_ops.serve.app import App
from techsapo_ops.serve.options import Options
from techsapo_ops.spec.models import Spec
from techsapo_ops.wallbounce.providers.registry import build_registry

local = {"kind": "openai-compatible", "model": "m", "base_url": "http://x/v1", "price": {}}
build_registry(Spec.model_validate({"project": "p", "providers": {"local": local}}), {})
print(*sorted(sys.modules))
preload()
print(*sorted(sys.modules))


async def answered():
    spec = Spec.model_validate({"project": "p", "redis": {"port": 1}})
    app = App(Options(spec, "a", Path(sys.argv[1])))
    async with app.asgi.router.lifespan_context(app.asgi):
        pass


asyncio.run(answered())
print(*sorted(sys.modules))
"""


def test_nothing_is_loaded_that_draws_on_a_terminal_asks_a_vendor_or_traces_before_it_is_needed(
    tmp_path: Path,
) -> None:
    """structlog and httpx take rich, and with it pygments, where they find it: 10 MB for nothing."""
    argv = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    ran = subprocess.run(argv, capture_output=True, text=True, check=True)
    unasked, idle, serving = (set(line.split()) for line in ran.stdout.splitlines()[-3:])
    assert not unasked & {"openai", "aiohttp", "httpx2", "genai_prices"}
    assert {"httpx", "structlog"} <= idle
    assert not idle & {"rich", "pygments"}
    assert "redis.asyncio" in serving
    assert not serving & {"rich", "requests", "opentelemetry.sdk", "opentelemetry.exporter", "jinja2"}
    assert not serving & {"alembic", "mako", "pydantic.v1", "mcp", "pymysql", "aiosqlite", "openai"}


def group(directory: Path, **files: str) -> HostUsage:
    for name, text in files.items():
        (directory / name.replace("_", ".", 1)).write_text(text)
    return HostUsage(directory)


def test_memory_is_a_share_of_the_cgroups_limit_without_what_can_be_given_back(tmp_path: Path) -> None:
    usage = group(
        tmp_path, memory_max="1000\n", memory_current="600\n", memory_stat="anon 1\ninactive_file 100\n"
    )
    assert usage.memory_percent() == 50
    assert usage.memory_limit() == 1000


@each_row("limit", ["max\n", "", "nonsense"])
def test_without_a_limit_memory_is_the_hosts(tmp_path: Path, limit: str) -> None:
    usage = group(tmp_path, memory_max=limit, memory_current="600\n")
    assert 0 < usage.memory_percent() <= 100
    assert usage.memory_limit() is None


def test_cpu_is_a_share_of_the_quota_since_the_last_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = group(tmp_path, cpu_max="200000 100000\n", cpu_stat="usage_usec 1000000\n")
    now = 100.0
    monkeypatch.setattr("techsapo_ops.adapters.resources.time.monotonic", lambda: now)
    assert usage.cpu_percent() is None
    now = 110.0
    (tmp_path / "cpu.stat").write_text("usage_usec 11000000\n")
    assert usage.cpu_percent() == 50  # 10 s of CPU in 10 s on 2 cores


def test_without_a_quota_cpu_is_the_hosts(tmp_path: Path) -> None:
    usage = group(tmp_path, cpu_max="max 100000\n")
    percent = usage.cpu_percent()
    assert percent is not None
    assert 0 <= percent <= 100
