"""Answers that wait until their audit row is on disk, beside answers that do not, in the same run."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from tests.bench.analyses import SIX, Measured, measure, served
from tests.bench.providers import upstream
from tests.bench.row import Row

ALONE = 300
THREADS = 64
EACH = 100


def run() -> Iterator[Row]:
    """Print what a row costs, then yield the ratios of whole analyses."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:  # on a disk: /tmp may be memory
        _print_rows(Path(directory))
        found: dict[str, list[Measured]] = {"relaxed": [], "answered": []}
        with upstream() as url:
            for n in range(2):
                for durability, measured in found.items():
                    there = served(Path(directory) / f"{durability}-{n}", SIX["one kind"], url, durability)
                    measured.append(measure(there))
    for durability, measured in found.items():
        rate, alone = max(m.rate for m in measured), min(m.alone for m in measured)
        print(f"{durability:9} {rate:6.0f} analyses/s   {alone * 1000:6.1f} ms alone", flush=True)
    best = {
        name: (max(m.rate for m in measured), min(m.processor for m in measured))
        for name, measured in found.items()
    }
    yield Row("an analysis at 200", 1000 / best["answered"][0], 1000 / best["relaxed"][0], 1.35)
    yield Row("processor", 1000 * best["answered"][1], 1000 * best["relaxed"][1], 1.25, digits=2)


def _print_rows(directory: Path) -> None:
    from techsapo_ops.stores.audit.log import AuditLog
    from techsapo_ops.stores.audit.spool import AuditRow

    row = AuditRow(
        id="0" * 32, time=datetime.now(UTC), instance="app-1", request_id="req_0", user_id=None,
        task_type="basic", prompt_hash="a" * 64, providers=("sim-a", "sim-b"), confidence=0.8, consensus=0.7,
        accepted=True, simulated=True, cache="miss", cost_usd=0.5, status="accepted", processing_ms=12,
    )  # fmt: skip
    flushes = _flushes(directory / "plain", (row.to_json() + "\n").encode())
    log = AuditLog(None, directory, durable=True)
    log.start()

    def put(number: int) -> None:
        future = log.put(replace(row, id=f"{number:032x}"))
        assert future is not None
        assert future.result(60)

    put(0)
    took = []
    for n in range(1, ALONE + 1):
        began = time.perf_counter()
        put(n)
        took.append(time.perf_counter() - began)

    def many(thread: int) -> None:
        for n in range(EACH):
            put(1_000_000 + thread * EACH + n)

    threads = [threading.Thread(target=many, args=(n,)) for n in range(THREADS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    log.close(60)
    print(
        f"one append and flush of the disk {1000 * flushes:.2f} ms   a row alone {1000 * median(took):.2f} ms"
        f"   of {THREADS} at once {THREADS * EACH / seconds:,.0f} rows/s",
        flush=True,
    )


def _flushes(path: Path, line: bytes) -> float:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    took = []
    for _ in range(ALONE):
        began = time.perf_counter()
        os.write(descriptor, line)
        os.fsync(descriptor)
        took.append(time.perf_counter() - began)
    os.close(descriptor)
    return median(took)
