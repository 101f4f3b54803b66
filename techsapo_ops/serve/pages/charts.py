"""The catalogue's dashboards for the built-in page, drawn from Prometheus on the browser's behalf.

A browser names a dashboard, never an expression: this is no open door to Prometheus.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.prometheus import Prometheus, Series
from techsapo_ops.catalogue.alerts import alerts
from techsapo_ops.catalogue.dashboards import (
    Dashboard,
    Panel,
    Query,
    Thresholds,
    Words,
    dashboards,
    dashboards_of,
    legend_on,
)
from techsapo_ops.messages import msg
from techsapo_ops.serve.bodies.monitoring import (
    ApplyBody,
    DashboardBody,
    DashboardsBody,
    EventMarkBody,
    FiguresBody,
    Origin,
    PanelBody,
    PanelFiguresBody,
    RowBody,
    SeriesBody,
)
from techsapo_ops.serve.http.problems import Problem
from techsapo_ops.serve.options import PageFacts

Span = Literal["15m", "1h", "6h", "24h", "7d", "30d"]
SPANS: Mapping[Span, int] = {
    "15m": 900, "1h": 3600, "6h": 21_600, "24h": 86_400, "7d": 604_800, "30d": 2_592_000,
}  # fmt: skip
POINTS = 120
"""Points of a line."""
SHORTEST = 10
"""Seconds that a stretch chosen in a chart has at least."""
MOST_SERIES = 12
"""Lines of one expression, those with the largest values: more can't be told apart."""
AT_ONCE = 6
"""Queries under way at Prometheus."""
FRESH = 4.0
"""Seconds for which an answer serves everybody who asks for the same."""
MOST_CACHED = 64
_APPLIES = "techsapo_apply_timestamp_seconds"
MOST_APPLIES = 50
"""Applies that are marked, the newest: more marks hide the lines."""
Marks = Callable[[float, float], list[EventMarkBody]]
"""The events between two moments (Unix seconds), oldest first. Blocks, and raises nothing."""
_ORIGINS: tuple[tuple[re.Pattern[str], Origin], ...] = (
    (re.compile(r"\btechsapo_backups?_?"), "backups"),
    (re.compile(r"\btechsapo_cert_"), "certificates"),
    (re.compile(r"\bprobe_ssl_"), "tls"),
    (re.compile(r"\btechsapo_(job|drift|costs)_"), "jobs"),
    (re.compile(r"\btechsapo[_:](wallbounce|llm|cache_hits)"), "questions"),
    (re.compile(r"\btechsapo[_:](http|auth|rate_limit|anomaly)"), "requests"),
)
"""What brings the figures of a series, so that a panel without any can say what to do."""
_LABEL = re.compile(r"\{\{\s*(\w+)\s*\}\}")


_Name = Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z0-9_.:-]*$")]
_LAST = 99_999_999_999


class View(BaseModel):
    """Which figures of a dashboard are wanted: how far back, and of which instance and provider ("" is all).

    `begin` and `end`, where given, are a stretch that holds instead of `span`.
    """

    model_config = ConfigDict(frozen=True)

    span: Span = "1h"
    instance: _Name = ""
    provider: _Name = ""
    begin: Annotated[
        int | None, Field(alias="from", ge=0, le=_LAST, description="Unix seconds; with `to`.")
    ] = None
    end: Annotated[int | None, Field(alias="to", ge=0, le=_LAST, description="Unix seconds.")] = None

    def stretch(self) -> tuple[float, int]:
        """Its length in seconds and its end. Raises Problem for one that can't be drawn."""
        if self.begin is None and self.end is None:
            # Not a multiple of the step: of 30 days that would be 6 hours ago.
            return SPANS[self.span], math.floor(time.time())
        if self.begin is None or self.end is None:
            raise Problem(422, "invalid_request", msg("`from` and `to` must be given together"))
        length = self.end - self.begin
        if not SHORTEST <= length <= SPANS["30d"]:
            raise Problem(
                422,
                "invalid_request",
                msg("`to` must be between {shortest} s and 30 days after `from`", shortest=SHORTEST),
            )
        return length, self.end


class Charts:
    """Reads the dashboards' figures from Prometheus; `prometheus` is None where the stack has none.

    `facts` tell the alerts' thresholds as they are now, `marks` the events.
    """

    def __init__(self, prometheus: Prometheus | None, facts: Callable[[], PageFacts], marks: Marks) -> None:
        self._prometheus = prometheus
        self._facts = facts
        self._marks = marks
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._cached: dict[tuple[str, View], tuple[float, asyncio.Task[FiguresBody]]] = {}
        self._interval: tuple[float, float] | None = None

    async def catalogue(self) -> DashboardsBody:
        """Every dashboard without its figures, and what its variables may be.

        `prometheus` is ready, unreachable, or absent where the stack has none.
        """
        state, choices = "absent", dict[str, list[str]](instance=[], provider=[])
        jobs, hosts = list[str](), list[str]()
        if self._prometheus is not None:
            try:
                *names, jobs, hosts = await asyncio.gather(
                    self._names("techsapo_build_info", "instance"),
                    self._names("techsapo_provider_info", "provider"),
                    self._names("up", "job"),
                    self._names("up", "host"),
                )
                state, choices = "ready", dict(zip(choices, names, strict=True))
            except (Unreachable, ApiError):
                state = "unreachable"
        own = (await asyncio.to_thread(self._facts)).thresholds
        return DashboardsBody(
            prometheus=state,
            spans=list(SPANS),
            variables=choices,
            dashboards=[
                _described(own, dashboard)
                for dashboard in sorted(dashboards_of(hosts).values(), key=_main_first)
                if dashboard.needs is None or dashboard.needs in jobs
            ],
        )

    async def figures(self, dashboard: str, view: View) -> FiguresBody:
        """The figures of one dashboard: times (Unix seconds), and by panel its series' values at them.

        Raises Problem for a dashboard that there is not, and where Prometheus does not answer.
        """
        if dashboard not in dashboards():
            raise Problem(404, "not_found", msg("there is no such dashboard"))
        view.stretch()
        now = time.monotonic()
        self._cached = {seen: cached for seen, cached in self._cached.items() if cached[0] > now}
        cached = self._cached.get((dashboard, view))
        if cached is None:
            if len(self._cached) >= MOST_CACHED:
                raise Problem(
                    503,
                    "overloaded",
                    msg("too many different dashboard views are open at once"),
                    retry_after=FRESH,
                )
            cached = (now + FRESH, asyncio.create_task(self._read(dashboard, view)))
            self._cached[dashboard, view] = cached
        # One who goes away must not take the answer from the others.
        return await asyncio.shield(cached[1])

    async def _read(self, dashboard: str, view: View) -> FiguresBody:
        if self._prometheus is None:
            raise Problem(
                503, "no_prometheus", msg("this stack has no Prometheus; the live view works without it")
            )
        span, end = view.stretch()
        step = max(span / POINTS, 1.0)
        if view.begin is not None:
            step = float(math.ceil(step))  # Prometheus rounds to milliseconds, and the times must be equal
        times = [end - step * n for n in range(POINTS, -1, -1) if view.begin is None or n * step <= span]
        try:
            interval = await self._scrape_interval()
            # As Grafana has it: four scrapes, so that one that fails leaves no gap.
            filled = {
                "rate_interval": f"{math.ceil(max(4 * interval, step + interval))}s",
                "instance": _pattern(view.instance),
                "provider": _pattern(view.provider),
            }
            panels = dashboards()[dashboard].panels
            figures = await asyncio.gather(*(self._panel(panel, filled, times, step) for panel in panels))
            applies = await asyncio.to_thread(read_applies, self._prometheus, times[0], times[-1])
        except (Unreachable, ApiError) as error:
            raise Problem(
                503, "no_prometheus", msg("Prometheus: {message}", message=error.message), retry_after=FRESH
            ) from None
        events = await asyncio.to_thread(self._marks, times[0], times[-1])
        return FiguresBody(
            span=view.span, step=step, times=times, panels=figures, applies=applies, events=events
        )

    async def _panel(
        self, panel: Panel, filled: Mapping[str, str], times: Sequence[float], step: float
    ) -> PanelFiguresBody:
        """One panel's series; an error of its own where Prometheus refuses its expressions."""
        try:
            parts = await asyncio.gather(*(self._series(q, filled, times, step) for q in panel.queries))
        except ApiError as error:
            return PanelFiguresBody(error=error.message, series=[])
        return PanelFiguresBody(series=[series for part in parts for series in part])

    async def _series(
        self, query: Query, filled: Mapping[str, str], times: Sequence[float], step: float
    ) -> list[SeriesBody]:
        assert self._prometheus is not None  # noqa: S101 - _read has looked
        async with self._slots:
            lines = await asyncio.to_thread(
                self._prometheus.query_range, query.promql(**filled), times[0], times[-1], step
            )
        largest = sorted(lines, key=lambda s: max(s.values.values(), default=0.0), reverse=True)[:MOST_SERIES]
        return [
            SeriesBody(legend=_legend(query.legend, series), values=[_value(series, when) for when in times])
            for series in sorted(largest, key=lambda s: sorted(s.labels.items()))
        ]

    async def _names(self, metric: str, label: str) -> list[str]:
        assert self._prometheus is not None  # noqa: S101 - catalogue has looked
        samples = await asyncio.to_thread(self._prometheus.query, f"group by ({label}) ({metric})")
        return sorted(s.labels[label] for s in samples if label in s.labels)

    async def _scrape_interval(self) -> float:
        """Seconds between two scrapes of the app; looked up once a minute."""
        assert self._prometheus is not None  # noqa: S101 - _read has looked
        now = time.monotonic()
        if self._interval is None or self._interval[0] < now:
            targets = await asyncio.to_thread(self._prometheus.targets)
            own = [t.interval_seconds for t in targets if t.job == "techsapo-app"]
            self._interval = (now + 60, max(own, default=15.0))
        return self._interval[1]


def _main_first(dashboard: Dashboard) -> bool:
    return dashboard.name != "main"


def _pattern(name: str) -> str:
    """A regular expression for `name` alone as it stands in a PromQL string; for all where it is empty."""
    return re.escape(name).replace("\\", "\\\\").replace('"', '\\"') if name else ".*"


def _legend(legend: Words, series: Series) -> dict[str, str]:
    hosts = int("host" in series.labels)
    return {
        locale: _LABEL.sub(lambda match: series.labels.get(match[1], ""), legend_on(hosts, text))
        for locale, text in legend.items()
    }


def _value(series: Series, when: float) -> float | None:
    value = series.values.get(when)
    return value if value is not None and math.isfinite(value) else None


def _described(own: Mapping[str, float], dashboard: Dashboard) -> DashboardBody:
    return DashboardBody(
        name=dashboard.name,
        title=dict(dashboard.title),
        description=dict(dashboard.description),
        choices=list(dashboard.choices),
        rows=[
            RowBody(
                title=dict(row.title),
                height=row.height,
                panels=[_described_panel(own, panel) for panel in row.panels],
            )
            for row in dashboard.rows
        ],
    )


def _described_panel(own: Mapping[str, float], panel: Panel) -> PanelBody:
    thresholds = panel.thresholds or Thresholds()
    bounds = (thresholds.warning, thresholds.critical)
    return PanelBody(
        title=dict(panel.title),
        description=dict(panel.description),
        kind=panel.kind,
        width=panel.width,
        unit=panel.unit,
        min=panel.min,
        max=panel.max,
        shows=panel.shows,
        bad=thresholds.bad,
        warning=_bound(own, thresholds.warning),
        critical=_bound(own, thresholds.critical),
        alerts=[bound for bound in bounds if isinstance(bound, str)],
        origin=_origin_of(panel),
    )


def _bound(own: Mapping[str, float], bound: float | str | None) -> float | None:
    return own.get(bound, alerts()[bound].threshold) if isinstance(bound, str) else bound


def _origin_of(panel: Panel) -> Origin:
    """By the series that its first expression names; what servers and exporters have comes by scraping."""
    expr = panel.queries[0].expr
    return next((origin for pattern, origin in _ORIGINS if pattern.search(expr)), "scrapes")


def read_applies(prometheus: Prometheus, begin: float, end: float) -> list[ApplyBody]:
    """The applies that ended from `begin` to `end`, oldest first. Raises as Prometheus.query does.

    They are read from the series that `techsapo up` leaves for node exporter: the ledger itself is readable
    by its owner alone.
    """
    back = math.ceil(max(time.time() - begin, 1)) + 1
    applies = {
        int(sample.labels["number"]): ApplyBody(
            number=int(sample.labels["number"]),
            time=sample.value,
            **{key: sample.labels.get(key, "") for key in ("user", "command", "result")},
        )
        for sample in prometheus.query(f"last_over_time({_APPLIES}[{back}s])")
        if sample.labels.get("number", "").isdecimal() and begin <= sample.value <= end
    }
    return [applies[number] for number in sorted(applies)][-MOST_APPLIES:]
