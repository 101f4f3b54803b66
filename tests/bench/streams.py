"""The metrics stream with 5,000 SSE and 1,000 WebSocket clients on one process."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.row import Row

sys.path.insert(0, str(Path(__file__).parents[1] / "lab"))

SSE, WEBSOCKETS, TICKS = 5000, 1000, 5
DELAY_LIMIT, MEMORY_LIMIT = 1000.0, 45.0
"""Milliseconds, and KB a client."""


MANY = {"app": {"limits": {"client_connections": 10_000}}}
"""All these clients come from one address."""


def _resident_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))


def run() -> Iterator[Row]:
    """Connect all of them, let five ticks pass, and look at what each got and what it cost."""
    from orchestrator import serving

    clients = SSE + WEBSOCKETS
    with tempfile.TemporaryDirectory() as directory, serving(Path(directory), **MANY) as server:
        before = _resident_kb(server.process.pid)
        script = str(Path(__file__).with_name("stream_clients.py"))
        words = [str(n) for n in (server.port, SSE, WEBSOCKETS, TICKS)]
        argv = [sys.executable, script, *words]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            connected = json.loads(process.stdout.readline())["connected"]
            assert connected == clients
            memory = (_resident_kb(server.process.pid) - before) / clients
            process.stdin.write("go\n")
            process.stdin.flush()
            told = json.loads(process.stdout.readline())
    print(f"tick to client: p50 {told['p50'] * 1000:.0f} ms, max {told['max'] * 1000:.0f} ms")
    yield Row("clients without every tick", clients - told["complete"], clients, 0.0, "of")
    yield Row("tick to client, p99", told["p99"] * 1000, DELAY_LIMIT, 1.0)
    yield Row("resident memory a client", memory, MEMORY_LIMIT, 1.0, "KB")
