"""What the app's process loads: each of its libraries takes memory of every instance on every host."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import asyncio, sys
from pathlib import Path

from techsapo_ops.adapters.http import preload
from techsapo_ops.serve import server
from techsapo_ops.serve.app import App
from techsapo_ops.serve.options import Options
from techsapo_ops.spec.models import Spec
from techsapo_ops.wallbounce.registry import build_registry

local = {"kind": "openai-compatible", "model": "m", "base_url": "http://x/v1", "price": {}}
build_registry(Spec.model_validate({"project": "p", "providers": {"local": local}}), {})
print(*sorted(sys.modules))
preload()
print(*sorted(sys.modules))


async def answered():
    spec = Spec.model_validate({"project": "p", "redis": {"enabled": False}})
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
    assert not serving & {"rich", "requests", "opentelemetry.sdk", "opentelemetry.exporter"}
