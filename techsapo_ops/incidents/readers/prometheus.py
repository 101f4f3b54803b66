"""Series of Prometheus around an alert: what its expression reads, what its dashboard shows, what is near it.

Raw series, as they are stored. Each question names many metrics, so that a few are enough; how many series
there are is asked before, and a metric with too many is narrowed to the labels of the alert, or left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.prometheus import Prometheus, Series
from techsapo_ops.catalogue.alerts import DISKS, alerts
from techsapo_ops.catalogue.dashboards import dashboards
from techsapo_ops.catalogue.series import metric_names, series_read
from techsapo_ops.incidents.material import Material, Subject
from techsapo_ops.incidents.subject import of_labels, promql

MOST_QUERIES = 60
MOST_POINTS = 120
"""Values of one series."""
MOST_SERIES = 400
_OF_ONE = 40
"""Series of one metric of the expression; of any other a quarter."""
_NAMES_AT_ONCE = 40
_LEAST_STEP = 15.0
_NOT_READ = re.compile(
    r"(go|process|promhttp|python|scrape|net_conntrack|prometheus_sd)_.*|.*_(bucket|created)|ALERTS.*"
)
"""Metrics of how a program or a scrape is made, and histograms' buckets."""
_NODE = (
    "node_load1", "node_load5", "node_memory_MemAvailable_bytes", "node_memory_SwapFree_bytes",
    "node_vmstat_oom_kill", "node_vmstat_pgmajfault", "node_timex_sync_status", "node_boot_time_seconds",
    "node_pressure_cpu_waiting_seconds_total", "node_pressure_io_waiting_seconds_total",
    "node_pressure_memory_waiting_seconds_total", "node_filefd_allocated", "node_sockstat_TCP_inuse",
)  # fmt: skip
_NODE_DISKS = ("node_filesystem_avail_bytes", "node_filesystem_files_free", "node_filesystem_readonly")


@dataclass(frozen=True, slots=True)
class PrometheusSeries:
    """`server` is asked. `watched` has by service of the team's the labels of its series."""

    server: Prometheus
    watched: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def __call__(self, subject: Subject, start: datetime, end: datetime) -> Material:
        """At most MOST_SERIES, those of the alert's own expression first. Raises Unreachable or ApiError."""
        asked = _Asked(self.server, start.timestamp(), end.timestamp())
        exact = [
            f'{name}=~"{promql(re.escape(value))}|"' for name, value in sorted(of_labels(subject).items())
        ]
        names = metric_names(subject.expression) | series_read(subject.expression)
        asked.named(names, (), _OF_ONE, narrowed=exact)
        asked.one('{__name__="ALERTS",alertstate="firing",alertname!~"Watchdog|Drill"}')
        for selector in self._near(subject):
            asked.near(selector, _OF_ONE // 4)
        asked.named(_shown(subject.alert) - names, (), _OF_ONE // 4, narrowed=exact)
        asked.named({"up"}, (), MOST_SERIES // 4)
        asked.named(_NODE, (), _OF_ONE // 4)
        asked.named(_NODE_DISKS, (DISKS,), _OF_ONE // 4)
        return Material(subject, start, end, series=tuple(asked.series.values()))

    def _near(self, subject: Subject) -> Iterator[Sequence[str]]:
        """Label matchers of the series of the services and hosts that it is about."""
        for name in sorted(subject.services):
            if name in self.watched:
                yield [f'{label}="{promql(value)}"' for label, value in sorted(self.watched[name].items())]
                continue
            word = promql(re.escape(name))
            yield [f'instance=~"{word}(-.*)?"']
            yield [f'job=~"(techsapo-)?{word}(-exporter)?"', f'instance!~"{word}(-.*)?"']
        for host in sorted(subject.hosts):
            word = promql(re.escape(host))
            yield [f'host="{promql(host)}"']
            yield [f'instance=~"{word}(:\\\\d+)?"']


@dataclass(slots=True)
class _Asked:
    """Asks one server, and keeps what it says."""

    server: Prometheus
    start: float
    end: float
    queries: int = 0
    series: dict[tuple[tuple[str, str], ...], Series] = field(default_factory=dict)

    @property
    def step(self) -> float:
        """Seconds between two values."""
        return max(_LEAST_STEP, (self.end - self.start) / (MOST_POINTS - 1))

    def named(
        self, names: Iterable[str], matchers: Sequence[str], most: int, narrowed: Sequence[str] = ()
    ) -> None:
        """The metrics `names`; those with more than `most` series only where `narrowed` holds."""
        for some in _some(sorted(names)):
            which = f'__name__=~"{"|".join(some)}"'
            counts = self._counts([which, *matchers])
            few = [name for name in some if 0 < counts.get(name, 0) <= most]
            self._read(few, matchers)
            if narrowed:
                self._read([name for name in some if counts.get(name, 0) > most], [*matchers, *narrowed])

    def near(self, matchers: Sequence[str], most: int) -> None:
        """All metrics that carry labels, but those of _NOT_READ and with more than `most` series."""
        counts = self._counts(matchers)
        names = sorted(n for n, count in counts.items() if count <= most and not _NOT_READ.fullmatch(n))
        for some in _some(names):
            self._read(some, matchers)

    def one(self, selector: str) -> None:
        """What a whole selector selects."""
        room = MOST_SERIES - len(self.series)
        if room <= 0 or not self._may_ask():
            return
        # Its last value is that of `end`: of an alert that fired a moment ago there may be no other.
        start = self.end - self.step * math.floor((self.end - self.start) / self.step)
        for series in self.server.query_range(selector, start, self.end, self.step)[:room]:
            self.series.setdefault(tuple(sorted(series.labels.items())), series)

    def _read(self, names: Collection[str], matchers: Sequence[str]) -> None:
        if names:
            with suppress(ApiError):  # such as too many samples for this server: the others come all the same
                self.one("{" + ",".join([f'__name__=~"{"|".join(names)}"', *matchers]) + "}")

    def _counts(self, matchers: Sequence[str]) -> Mapping[str, int]:
        """How many series each metric has in the window."""
        if not self._may_ask():
            return {}
        seconds = max(60, round(self.end - self.start))
        selector = "{" + ",".join(matchers) + "}"
        asked = f"count by (__name__) (last_over_time({selector}[{seconds}s] @ {self.end:.3f}))"
        try:
            return {s.labels.get("__name__", ""): int(s.value) for s in self.server.query(asked)}
        except ApiError:  # a name that no metric can have
            return {}

    def _may_ask(self) -> bool:
        self.queries += 1
        return self.queries <= MOST_QUERIES


def _some(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[n : n + _NAMES_AT_ONCE] for n in range(0, len(names), _NAMES_AT_ONCE))


def _shown(alert: str) -> set[str]:
    """The metrics that the dashboard of one of the catalogue's alerts shows."""
    entry = alerts().get(alert)
    if entry is None:
        return set()
    for dashboard in dashboards().values():
        if dashboard.uid == entry.dashboard or dashboard.name == entry.dashboard:
            queries = (query for panel in dashboard.panels for query in panel.queries)
            names = {name for query in queries for name in metric_names(query.promql(rate_interval="1m"))}
            return {name for name in names if not _NOT_READ.fullmatch(name)}
    return set()
