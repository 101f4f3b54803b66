"""What a recording leaves: the raw samples, log lines, changes and facts of its window, as a bundle.

Nothing is made up and nothing is moved in time. What is left out: samples between those of a step, so that a bundle
stays small; all but the ends of a series that stood still; lines that say themselves that they are information.
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
from datetime import UTC, datetime
from pathlib import Path

import psutil
from cryptography import x509

from techsapo_ops.adapters.log_lines import line_level, line_time
from techsapo_ops.adapters.prometheus import Firing, Prometheus, Series
from techsapo_ops.incidents.material import Fact, Level, Line, Material, Subject, Unread
from techsapo_ops.incidents.openmetrics import text_of
from tests.incidents.record.servers import OUTSIDE, RULES
from tests.incidents.record.world import HOST, World

MOST_METRICS = 125_000
MOST_LINES = 420
_STEPS = (6, 10, 14, 20, 30)
_LEVELS: Mapping[str | None, Level] = {"error": "error", "warn": "warning", None: ""}
_DISKS = (
    "/",
    "/var/lib/shop",
    "/var/lib/mysql",
    "/var/log/shop",
    "/var/log/nginx",
    "/var/backups",
    "/var/lib/shop/sessions",
)


def log_files(world: World) -> dict[str, list[Path]]:
    """The logs of each service, as a team would name them."""
    logs = {name: [Path(f"/var/log/shop/{name}.log")] for name in world.units if name not in OUTSIDE}
    logs["nginx"] = [Path("/var/log/nginx/error.log")]
    logs["mariadb"] = [Path("/var/log/mysql/error.log")]
    if "replica" in world.units:
        logs["replica"] = [Path("/var/log/mysql/replica-error.log")]
    logs["redis"] = [Path("/var/log/redis.log")]
    logs["cron"] = [Path("/var/log/cron.log")]
    return {
        name: [file for file in files if file.exists()]
        for name, files in logs.items()
        if name in world.units or name == "cron"
    }


def lines_of(service: str, file: Path, start: datetime, end: datetime) -> Iterator[Line]:
    """The lines of a log within a window, but for those that are information; a line without a time goes with its predecessor."""
    at: datetime | None = None
    level: str | None = None
    for text in file.read_text(errors="replace").splitlines():
        said = line_level(text)
        if (when := line_time(text)) is not None:
            at, level = when, said
        else:
            level = said or level
        if at is not None and start <= at <= end and text.strip() and level in _LEVELS:
            yield Line(at, text, service, HOST, _LEVELS[level])


def fewer(lines: Iterable[Line], most: int) -> list[Line]:
    """At most so many lines: of one service and level each second, third … is left out, the first and last stay."""
    chosen = list(lines)
    if len(chosen) <= most:
        return chosen
    step = len(chosen) / most
    return [chosen[int(number * step)] for number in range(most)]


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
        return sum(sample.value for sample in self.prometheus.query("orders_total"))

    def kernel_lines(self) -> list[Line]:
        """What the kernel said of this machine's control groups. Its clock is the time since it started."""
        lines = []
        started = psutil.boot_time()
        while True:
            try:
                record = os.read(self._kernel, 8192).decode(errors="replace")
            except (BlockingIOError, BrokenPipeError):
                return lines
            head, _, text = record.partition(";")
            if os.environ["RECORD_ID"] in text or re.match(r"Memory cgroup out of memory|oom_reaper", text):
                at = datetime.fromtimestamp(started + int(head.split(",")[2]) / 1e6, UTC)
                lines.append(Line(at, f"kernel: {text.splitlines()[0]}", "kernel", HOST, "error"))

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
        expression = f'{{job=~".+",__name__!~"scrape_.*|ALERTS.*|nginx_exporter.*|process_(virtual|network).*"}}[{seconds}s]'
        query = urllib.parse.urlencode({"query": expression, "time": end})
        with urllib.request.urlopen(f"http://127.0.0.1:9090/api/v1/query?{query}", timeout=60) as answer:
            result = json.load(answer)["data"]["result"]
        return [
            Series(one["metric"], {float(time): float(value) for time, value in one["values"]})
            for one in result
        ]

    def facts(self, without: frozenset[str]) -> tuple[Fact, ...]:
        """The machine as it is now: disks, memory, units, certificates."""
        facts = []
        for path in _DISKS:
            if path == "/" or Path(path).is_mount():
                use = shutil.disk_usage(path)
                nodes = os.statvfs(path)
                free = 100 * nodes.f_favail // max(nodes.f_files, 1)
                text = f"{100 * use.used // use.total} % of {use.total >> 20} MB used, {free} % of its inodes free"
                facts.append(Fact(f"disk {path}", text, use.free > use.total / 10 and free > 5, "", HOST))
        memory = psutil.virtual_memory()
        facts.append(
            Fact(
                "memory",
                f"{memory.available >> 20} of {memory.total >> 20} MB available",
                memory.percent < 90,
                "",
                HOST,
            )
        )
        facts.append(Fact("load", " ".join(f"{one:.2f}" for one in os.getloadavg()), None, "", HOST))
        for unit in self.world.units.values():
            if unit.name in OUTSIDE or unit.name in without:
                continue
            up = unit.process is not None and unit.process.poll() is None
            text = f"running, {unit.count} restarts" if up else "stopped" if unit.stopped else "failed"
            facts.append(Fact(f"{unit.name}.service", text, up, unit.name, HOST))
        if Path("/etc/shop/front.pem").exists() and "nginx" in self.world.units:
            front = x509.load_pem_x509_certificate(Path("/etc/shop/front.pem").read_bytes())
            names = front.extensions.get_extension_for_class(
                x509.SubjectAlternativeName
            ).value.get_values_for_type(x509.DNSName)
            ends = front.not_valid_after_utc
            facts.append(
                Fact(
                    "certificate /etc/shop/front.pem",
                    f"for {', '.join(names)} until {ends:%Y-%m-%d %H:%M:%S} UTC",
                    ends > datetime.now(UTC),
                    "nginx",
                    HOST,
                )
            )
        return tuple(facts)

    def material(self, firing: Firing, start: datetime, end: datetime, unread: Mapping[str, str]) -> Material:
        """All of the window; `unread` are the sources that could not be read, with their reasons."""
        rule = next(rule for rule in RULES if rule["alert"] == firing.labels["alertname"])
        logs_unread = frozenset(name.removeprefix("log of ") for name in unread if name.startswith("log of "))
        metrics_unread = frozenset(
            name.removeprefix("metrics of ") for name in unread if name.startswith("metrics of ")
        )
        subject = Subject(
            began=firing.since, alert=firing.labels["alertname"], labels=dict(firing.labels), expression=str(rule["expr"]),
            summary=firing.annotations.get("summary", ""), services=frozenset({firing.labels["service"]} - {"node"}), hosts=frozenset({HOST}),
        )  # fmt: skip
        lines = list(self.world.lines)
        if "log of kernel" not in unread:
            lines += self.kernel_lines()
        files = log_files(self.world)
        for service, paths in files.items():
            for path in paths:
                lines += lines_of(service, path, start, end)
        lines = [
            line for line in lines if start <= line.at <= end and line.service not in logs_unread | OUTSIDE
        ]
        lines.sort(key=lambda line: line.at)
        lines = sorted(
            (
                line
                for service in {line.service for line in lines}
                for line in fewer((one for one in lines if one.service == service), MOST_LINES // 3)
            ),
            key=lambda line: line.at,
        )
        read = (
            "prometheus",
            *sorted(f"log of {name}" for name in files if name not in logs_unread),
            "changes",
            "host",
        )
        return Material(
            subject, start, end, self.series(start, end, metrics_unread), tuple(replace(line, text=self.clean(line.text)) for line in lines),
            tuple(replace(one, detail=self.clean(one.detail)) for one in self.world.changes if start <= one.at <= end and one.kind not in _without_kinds(unread)),
            self.facts(logs_unread), read=read, unread=tuple(Unread(source, reason) for source, reason in unread.items()),
        )  # fmt: skip

    def clean(self, text: str) -> str:
        """Without the names that only the recorder gave."""
        return text.replace(f"recorded-{os.environ['RECORD_ID']}-", "").replace(str(self.world.work), "/var")[
            :600
        ]


def _without_kinds(unread: Mapping[str, str]) -> frozenset[str]:
    return frozenset(
        name.removeprefix("changes of kind ") for name in unread if name.startswith("changes of kind ")
    )


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
