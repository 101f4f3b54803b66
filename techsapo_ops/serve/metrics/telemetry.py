"""What the metrics stream says: this instance's figures, read once for all who listen."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import structlog

from techsapo_ops.catalogue.series import metrics
from techsapo_ops.serve.bodies.monitoring import RecentBody
from techsapo_ops.serve.http.broadcast import Broadcast
from techsapo_ops.serve.metrics.registry import Sample

log = structlog.get_logger()

INTERVAL = 2.0
"""Seconds between two readings."""
KEPT = 300
"""Readings that are kept for charts: ten minutes."""
TOTALS = (
    "techsapo_http_requests_total",
    "techsapo_wallbounce_requests_total",
    "techsapo_llm_requests_total",
    "techsapo_auth_failures_total",
    "techsapo_rate_limit_hits_total",
    "techsapo_anomaly_requests_total",
)
"""Counters that are told, summed over their labels."""
GAUGES = ("techsapo_inflight_analyses",)

Value = float | dict[str, float]
"""A number, or numbers by the value of the metric's only label."""
Values = dict[str, Value]


def read_values(samples: Callable[[str], Sequence[Sample]]) -> Values:
    """The guide's own metrics, TOTALS and GAUGES, as `samples` tells them by name."""
    found: Values = {}
    for name, entry in metrics().items():
        if not (entry.kind == "untyped" or name in TOTALS or name in GAUGES):
            continue
        series = samples(name)
        if series and entry.kind == "untyped" and len(entry.labels) == 1:
            found[name] = {labels[entry.labels[0]]: round(value, 6) for labels, value in series}
        elif series:
            found[name] = round(sum(value for _, value in series), 6)
    return found


class Telemetry:
    """Reads the figures every `interval` seconds, broadcasts them, and keeps the last minutes' for charts."""

    def __init__(
        self,
        read: Callable[[], Values],
        instance: str,
        *,
        interval: float = INTERVAL,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.broadcast = Broadcast()
        self.interval = interval
        self._read = read
        self._instance = instance
        self._clock = clock
        self._history: deque[tuple[float, Values]] = deque(maxlen=KEPT)

    async def run(self) -> None:
        """Read and broadcast until cancelled. A reading that fails is logged, and the next one tried."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                await self._tick()
            except Exception as error:  # noqa: BLE001 - whatever a reading meets, the next one may not
                log.error("The metrics stream could not be read", error=repr(error))
            due = max(due + self.interval, loop.time())
            await asyncio.sleep(due - loop.time())

    def history(self) -> RecentBody:
        """The last minutes as columns: times (Unix seconds), and by series its value at each, or null.

        A series is named by its metric, with its label's value in braces where it has one.
        """
        rows = tuple(self._history)
        flat = [_flat(values) for _, values in rows]
        names = sorted({name for row in flat for name in row})
        return RecentBody(
            instance=self._instance,
            interval=self.interval,
            times=[round(when, 1) for when, _ in rows],
            series={name: [row.get(name) for row in flat] for name in names},
        )

    async def _tick(self) -> None:
        values = await asyncio.to_thread(self._read)
        now = self._clock()
        self._history.append((now, values))
        data = {"time": round(now, 3), "instance": self._instance, "metrics": values}
        message = {"type": "metrics", "data": data}
        await self.broadcast.publish(json.dumps(message, ensure_ascii=False, separators=(",", ":")))


def _flat(values: Mapping[str, Value]) -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat.update({f"{name}{{{label}}}": number for label, number in value.items()})
        else:
            flat[name] = value
    return flat
