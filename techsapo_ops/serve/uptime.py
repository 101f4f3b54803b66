"""How much of each of the last days something was up, and how many questions were answered, by Prometheus."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.catalogue.alerts import server_up
from techsapo_ops.serve.bodies.uptime import UptimeBody, UptimeRowBody
from techsapo_ops.services.app.kind import JOB

DAYS = 90
FRESH = 300.0
"""Seconds for which an answer is given again: it looks at 90 days of samples."""
_STEP = 300
"""Seconds between two looks within a day."""
_DAY = 86_400
_ENDED = 'sum(increase(techsapo_wallbounce_requests_total{{status="{status}"}}[{window}s:60s]{offset}))'
"""Analyses of a window that ended so. As in every figure of ours, one that was refused for the budget or a
busy key, or that its user gave up, is neither answered nor failed, and a kept answer is none.
"""


class Watched(NamedTuple):
    """Something whose uptime is told: the series that is 1 while it is up, and the label that names it."""

    kind: Literal["any_instance", "instance", "server"]
    series: str
    label: str
    name: str = ""


def watched_things() -> Iterator[Watched]:
    """Whether any instance of the app is up, each instance, and each server that an exporter tells of."""
    yield Watched("any_instance", f'max(up{{job="{JOB}"}})', "")
    yield Watched("instance", f'max by (instance) (up{{job="{JOB}"}})', "instance")
    for series in server_up().values():
        yield Watched("server", f"min({series})", "", series.removesuffix("_up"))


class Uptime:
    """Tells the uptime of the stack, of which `prometheus` knows; None where the stack has none.

    `now` gives Unix seconds.
    """

    def __init__(self, prometheus: Prometheus | None, now: Callable[[], float] = time.time) -> None:
        self._prometheus = prometheus
        self._now = now
        self._lock = asyncio.Lock()
        self._told: UptimeBody | None = None
        self._until = -math.inf

    async def body(self) -> UptimeBody:
        """The last 90 days; what is not known is said to be, and never up."""
        async with self._lock:
            if self._told is None or self._now() >= self._until:
                self._told = await self._read()
                self._until = self._now() + (FRESH if self._told.watched == "ready" else 0)
            return self._told

    async def _read(self) -> UptimeBody:
        today = datetime.fromtimestamp(self._now(), UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        days = [(today - timedelta(days=ago)).date().isoformat() for ago in range(DAYS - 1, -1, -1)]
        if self._prometheus is None:
            return UptimeBody(watched="absent", days=days, rows=[])
        try:
            rows = await asyncio.to_thread(self._rows, self._prometheus, today.timestamp())
        except (Unreachable, ApiError):
            return UptimeBody(watched="unreachable", days=days, rows=[])
        return UptimeBody(watched="ready", days=days, rows=rows)

    def _rows(self, prometheus: Prometheus, midnight: float) -> list[UptimeRowBody]:
        rows = [*_questions(prometheus, midnight, self._now())]
        for thing in watched_things():
            up = self._by_day(prometheus, thing, "avg_over_time", midnight)
            counted = self._by_day(prometheus, thing, "count_over_time", midnight)
            rows += [self._row(thing, name, up[name], counted.get(name, {}), midnight) for name in sorted(up)]
        return rows

    def _row(
        self,
        thing: Watched,
        name: str,
        up: Mapping[int, float],
        counted: Mapping[int, float],
        midnight: float,
    ) -> UptimeRowBody:
        looks = [_DAY / _STEP] * (DAYS - 1) + [max(1.0, (self._now() - midnight) // _STEP)]
        known = [min(1.0, counted.get(day, 0.0) / looks[day]) for day in range(DAYS)]
        return UptimeRowBody(
            kind=thing.kind,
            name=name or thing.name,
            up=[None if known[day] == 0 or day not in up else round(up[day], 6) for day in range(DAYS)],
            known=[round(share, 4) for share in known],
        )

    def _by_day(
        self, prometheus: Prometheus, thing: Watched, function: str, midnight: float
    ) -> dict[str, dict[int, float]]:
        """By name and day, 0 being the first of them, what `function` makes of the looks within the day."""
        first = midnight - (DAYS - 2) * _DAY  # the end of the first day
        # A second before, or the look at midnight would belong to the day that ends there.
        whole = f"{function}(({thing.series})[{_DAY}s:{_STEP}s] offset 1s)"
        found: dict[str, dict[int, float]] = {}
        for series in prometheus.query_range(whole, first, midnight, _DAY):
            days = found.setdefault(series.labels.get(thing.label, ""), {})
            days |= {round((when - first) / _DAY): value for when, value in series.values.items()}
        seconds = max(_STEP, int(self._now() - midnight))
        for sample in prometheus.query(f"{function}(({thing.series})[{seconds}s:{_STEP}s])"):
            found.setdefault(sample.labels.get(thing.label, ""), {})[DAYS - 1] = sample.value
        return found


def _questions(prometheus: Prometheus, midnight: float, now: float) -> Iterator[UptimeRowBody]:
    """The share of the questions that was answered, by their number; nothing before the first one."""
    answered, failed = (_counted(prometheus, status, midnight, now) for status in ("success", "error"))
    asked = [round(answered.get(day, 0.0) + failed.get(day, 0.0)) for day in range(DAYS)]
    if any(asked):
        yield UptimeRowBody(
            kind="questions",
            name="",
            up=[
                round(answered.get(day, 0.0) / (answered.get(day, 0.0) + failed.get(day, 0.0)), 6)
                if n
                else None
                for day, n in enumerate(asked)
            ],
            known=[1.0 if n else 0.0 for n in asked],
            asked=asked,
        )


def _counted(prometheus: Prometheus, status: str, midnight: float, now: float) -> dict[int, float]:
    """By day, 0 being the first of them, how many questions ended with `status`."""
    first = midnight - (DAYS - 2) * _DAY  # the end of the first day
    whole = _ENDED.format(status=status, window=_DAY, offset=" offset 1s")
    found = {
        round((when - first) / _DAY): value
        for series in prometheus.query_range(whole, first, midnight, _DAY)
        for when, value in series.values.items()
    }
    today = _ENDED.format(status=status, window=max(120, int(now - midnight)), offset="")
    return found | {DAYS - 1: sum(sample.value for sample in prometheus.query(today))}
