"""What a recording leaves: the raw samples, log lines, changes and facts of its window, as a bundle.

Nothing is made up and nothing is moved in time. Left out, so that a bundle stays small, are samples between
those of a step, all but the ends of a series that stood still, lines that say themselves that they are
information, and some of very many lines that differ in numbers alone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

import psutil

from techsapo_ops.adapters.log_lines import line_level, line_time
from techsapo_ops.adapters.prometheus import Firing, Prometheus, Series
from techsapo_ops.errors import OpsError
from techsapo_ops.incidents.material import Fact, Level, Line, Material, Subject, Unread
from techsapo_ops.incidents.openmetrics import text_of
from tests.incidents.record.certificates import names_and_end
from tests.incidents.record.servers import OUTSIDE
from tests.incidents.record.watching import RULES
from tests.incidents.record.world import HOST, World

MOST_METRICS = 138_000
MOST_LOGS = 46_000
_TOGETHER = timedelta(milliseconds=30)
_STEPS = (6, 8, 10, 12, 15, 20, 30)
_LEVELS: Mapping[str | None, Level] = {"error": "error", "warn": "warning", None: ""}
_DISKS = ("/", "/var/lib/shop", "/var/lib/shop/sessions", "/var/lib/mysql", "/var/log/shop")
_LOGS = {
    "nginx": "nginx/error",
    "mariadb": "mysql/mysqld",
    "replica": "mysql/replica",
    "redis": "redis",
    "cron": "cron",
}
_NOT_KEPT = "scrape_.*|ALERTS.*|.*_exporter_.*|process_(virtual|network).*"


def logs(world: World) -> dict[str, Path]:
    """The log of each service that runs, and cron's."""
    names = [name for name in (*world.units, "cron") if name not in OUTSIDE]
    files = {name: Path("/var/log", f"{_LOGS.get(name, f'shop/{name}')}.log") for name in names}
    return {name: file for name, file in files.items() if file.exists()}


def lines_of(service: str, file: Path) -> Iterator[Line]:
    """The lines of a log but for those that are information; one without a time goes with its predecessor."""
    at: datetime | None = None
    level: str | None = None
    for text in file.read_text(errors="replace").splitlines():
        said = line_level(text)
        if (when := line_time(text)) is not None:
            at, level = when, said
        else:
            level = said or level
        if at is not None and text.strip() and level in _LEVELS:
            yield Line(at, text, service, HOST, _LEVELS[level])


def bursts(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Lines of one service that came together, such as those of a traceback."""
    for _, group in groupby(
        sorted(lines, key=lambda line: (line.service, line.at)), lambda line: line.service
    ):
        burst: list[Line] = []
        for line in group:
            if burst and line.at - burst[-1].at > _TOGETHER:
                yield burst
                burst = []
            burst.append(line)
        yield burst


def fewer(lines: Iterable[Line]) -> list[Line]:
    """The lines, at most MOST_LOGS bytes: of bursts that differ in numbers alone, some are left out."""
    alike: dict[tuple[str, frozenset[str]], list[list[Line]]] = {}
    for burst in bursts(lines):
        plain = (re.sub(r"[0-9a-f]*\d[0-9a-f]*", "", line.text)[:90] for line in burst)
        shape = (burst[0].service, frozenset(plain))
        alike.setdefault(shape, []).append(burst)
    for most in (1000, 200, 120, 80, 50, 35, 25, 18, 12, 8, 5, 3, 2, 1):
        many = [group for group in alike.values() if len(group) > most]
        chosen = [group[n * len(group) // most] for group in many for n in range(most)]
        chosen += [burst for group in alike.values() if len(group) <= most for burst in group]
        size = sum(len(line.text) + 120 for burst in chosen for line in burst)
        if size <= MOST_LOGS:
            break
    return sorted((line for burst in chosen for line in burst), key=lambda line: line.at)


class Recorder:
    def __init__(self, world: World) -> None:
        self.world = world
        self.prometheus = Prometheus("http://127.0.0.1:9090")
        self._kernel = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self._kernel, 0, os.SEEK_END)

    def firing(self, alert: str) -> Firing | None:
        """The alert of that name that fires."""
        return next(
            (
                one
                for one in self.prometheus.alerts()
                if one.labels["alertname"] == alert and one.state == "firing"
            ),
            None,
        )

    def orders(self) -> float:
        """Orders since the machine began."""
        try:
            return sum(sample.value for sample in self.prometheus.query("orders_total"))
        except OpsError:  # Prometheus is not ready yet
            return 0.0

    def kernel_lines(self) -> Iterator[Line]:
        """What the kernel said of this machine's control groups. Its clock is the time since it started."""
        started, ours = psutil.boot_time(), False
        while True:
            try:
                record = os.read(self._kernel, 8192).decode(errors="replace")
            except (BlockingIOError, BrokenPipeError):
                return
            head, _, text = record.partition(";")
            named = os.environ["RECORD_ID"] in text
            if named or (ours and text.startswith("Memory cgroup out of memory")):
                at = datetime.fromtimestamp(started + int(head.split(",")[2]) / 1e6, UTC)
                yield Line(at, f"kernel: {text.splitlines()[0]}", "kernel", HOST, "error")
            ours = named

    def series(self, start: datetime, end: datetime, without: frozenset[str]) -> tuple[Series, ...]:
        """The raw samples of the window, at the smallest step that fits."""
        seconds = int((end - start).total_seconds())
        series = [one for one in self._raw(seconds, end.timestamp()) if one.labels["job"] not in without]
        for step in _STEPS:
            thin = tuple(replace(one, values=_thin(one.values, step)) for one in series)
            if len(text_of(thin)) <= MOST_METRICS:
                break
        return thin

    def _raw(self, seconds: int, end: float) -> list[Series]:
        """All samples as Prometheus stored them, with their own times."""
        expression = f'{{job=~".+",__name__!~"{_NOT_KEPT}"}}[{seconds}s]'
        query = urllib.parse.urlencode({"query": expression, "time": end})
        with urllib.request.urlopen(f"http://127.0.0.1:9090/api/v1/query?{query}", timeout=60) as answer:
            result = json.load(answer)["data"]["result"]
        return [
            Series(one["metric"], {float(at): float(value) for at, value in one["values"]}) for one in result
        ]

    def facts(self, without: frozenset[str]) -> Iterator[Fact]:
        """The machine as it is now: disks, memory, units, certificates."""
        for path in _DISKS:
            if path == "/" or Path(path).is_mount():
                use, nodes = shutil.disk_usage(path), os.statvfs(path)
                free = 100 * nodes.f_favail // max(nodes.f_files, 1)
                used = f"{100 * use.used // use.total} % of {use.total >> 20} MB used"
                good = use.free > use.total / 10 and free > 5
                yield Fact(f"disk {path}", f"{used}, {free} % of its inodes free", good, "", HOST)
        memory = psutil.virtual_memory()
        size = f"{memory.available >> 20} of {memory.total >> 20} MB available"
        yield Fact("memory", size, memory.percent < 90, "", HOST)
        yield Fact("load", " ".join(f"{one:.2f}" for one in os.getloadavg()), None, "", HOST)
        for unit in self.world.units.values():
            if unit.name not in OUTSIDE | without:
                up = unit.process is not None and unit.process.poll() is None
                text = f"running, {unit.count} restarts" if up else "stopped" if unit.stopped else "failed"
                yield Fact(f"{unit.name}.service", text, up, unit.name, HOST)
        names, ends = names_and_end(Path("/etc/shop/front.pem"))
        text = f"for {', '.join(names)} until {ends:%Y-%m-%d %H:%M:%S} UTC"
        yield Fact("certificate /etc/shop/front.pem", text, ends > datetime.now(UTC), "nginx", HOST)

    def material(self, firing: Firing, start: datetime, end: datetime, unread: Mapping[str, str]) -> Material:
        """All of the window; `unread` are the sources that could not be read, with their reasons."""
        rule = next(rule for rule in RULES if rule["alert"] == firing.labels["alertname"])
        service = firing.labels["service"]
        subject = Subject(
            began=firing.since,
            alert=firing.labels["alertname"],
            labels=dict(firing.labels),
            expression=str(rule["expr"]),
            summary=firing.annotations.get("summary", ""),
            services=frozenset({service} - {"node"}),
            hosts=frozenset({HOST}),
        )
        no_log, no_metrics, no_changes = (
            _named(unread, of) for of in ("log of ", "metrics of ", "changes of kind ")
        )
        files = logs(self.world)
        lines = [*self.world.lines, *self.kernel_lines()]
        lines += [line for name, file in files.items() for line in lines_of(name, file)]
        lines = [line for line in lines if start <= line.at <= end and line.service not in no_log | OUTSIDE]
        changes = [one for one in self.world.changes if start <= one.at <= end and one.kind not in no_changes]
        return Material(
            subject,
            start,
            end,
            series=self.series(start, end, no_metrics),
            lines=tuple(replace(line, text=self._clean(line.text)) for line in fewer(lines)),
            changes=tuple(replace(one, detail=self._clean(one.detail)) for one in changes),
            facts=tuple(self.facts(no_log)),
            read=("prometheus", *(f"log of {name}" for name in sorted({*files} - no_log)), "changes", "host"),
            unread=tuple(Unread(source, reason) for source, reason in unread.items()),
        )

    def _clean(self, text: str) -> str:
        """Without the names that only the recorder gave."""
        return text.replace(f"recorded-{os.environ['RECORD_ID']}-", "").replace(str(self.world.work), "/var")[
            :600
        ]


def _named(unread: Mapping[str, str], beginning: str) -> frozenset[str]:
    return frozenset(name.removeprefix(beginning) for name in unread if name.startswith(beginning))


def _thin(values: Mapping[float, float], step: int) -> dict[float, float]:
    """The first sample of each step; of a series that stood still the first and the last."""
    times = sorted(values)
    if len(set(values.values())) == 1:
        return {time: values[time] for time in (times[0], times[-1])}
    chosen: dict[float, float] = {}
    begun = float("-inf")
    for time in times:
        if time - begun >= step - 0.5:
            chosen[time] = values[time]
            begun = time
    chosen[times[-1]] = values[times[-1]]
    return chosen
