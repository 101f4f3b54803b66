"""Hard cases, made by a program: distractors that move with the symptom, loud services downstream, drift,
sources that are missing. Each is made from a seed, so that all runs see the same ones.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from techsapo_ops.adapters.prometheus import Series
from techsapo_ops.incidents.bundle import Answer, Decisive
from techsapo_ops.incidents.material import Change, Fact, Kind, Level, Line, Material, Subject, Unread
from tests.incidents.score import Case

BEGAN = datetime(2026, 3, 1, 3, 10, tzinfo=UTC)
START, END = BEGAN - timedelta(minutes=30), BEGAN + timedelta(minutes=3)
STEP = 15
SERVICES = ("shop", "cart", "auth", "stock", "payments", "mailer", "search", "mariadb", "redis", "nginx")
SEEDS = (1, 2, 3)
TIMES = [START.timestamp() + STEP * n for n in range(int((END - START).total_seconds()) // STEP)]
AT = BEGAN.timestamp()


@dataclass
class Made:
    """What a case is made of; the scenario adds its fault to what goes on anyway."""

    random: random.Random
    series: list[Series] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)

    def gauge(self, name: str, value: Callable[[float], float], noise: float = 0.05, **labels: str) -> None:
        """A series whose value at a time is `value`, with noise in proportion."""
        values = {time: value(time) * (1 + self.random.gauss(0, noise)) for time in TIMES}
        self.series.append(Series({"__name__": name, **labels}, values))

    def counter(self, name: str, rate: Callable[[float], float], **labels: str) -> None:
        """A counter that grows by some `rate` a second."""
        total, values = float(self.random.randrange(1_000_000)), {}
        for time in TIMES:
            mean = rate(time) * STEP
            total += max(0, round(self.random.gauss(mean, mean**0.5)))
            values[time] = total
        self.series.append(Series({"__name__": name, **labels}, values))

    def log(self, service: str, text: str, level: Level, *times: float) -> None:
        """One line at each of the times; `{n}` in it is a number that varies."""
        for time in times:
            said = text.replace("{n}", str(self.random.randrange(10_000)))
            self.lines.append(Line(datetime.fromtimestamp(time, UTC), said, service, "web-1", level))

    def now_and_then(self, count: int, start: float = TIMES[0], end: float = TIMES[-1]) -> list[float]:
        """Some times in between."""
        return sorted(self.random.uniform(start, end) for _ in range(count))

    def change(self, minutes: float, text: str, service: str, detail: str = "", kind: str = "event") -> None:
        """A change so many minutes before the alert."""
        at = BEGAN - timedelta(minutes=minutes)
        self.changes.append(Change(at, kind, text, detail, service, "web-1"))  # type: ignore[arg-type]


def after(time: float, value: float, otherwise: float) -> Callable[[float], float]:
    """`value` from `time` on."""
    return lambda now: value if now >= time else otherwise


def _ordinary(made: Made) -> None:
    """What goes on anywhere: traffic, load, warnings, jobs."""
    pick = made.random
    for service in SERVICES:
        labels = {"job": service, "instance": f"web-1:{9000 + SERVICES.index(service)}"}
        rate, busy = pick.uniform(1, 60), pick.uniform(0.02, 0.5)
        made.gauge("up", lambda _: 1.0, 0, **labels)
        made.gauge("process_resident_memory_bytes", lambda _, m=pick.uniform(5e7, 5e8): m, 0.01, **labels)  # type: ignore[misc]
        made.counter("process_cpu_seconds_total", lambda _, b=busy: b, **labels)  # type: ignore[misc]
        for code in ("200", "404", "500"):
            share = {"200": 1.0, "404": 0.05, "500": 0.002}[code]
            made.counter("http_requests_total", lambda _, r=rate * share: r, code=code, **labels)  # type: ignore[misc]
        for number in range(25):
            made.gauge(f"runtime_pool_{number}_items", lambda _, v=pick.uniform(1, 300): v, 0.1, **labels)  # type: ignore[misc]
        made.log(
            service, "WARN slow request {n} took {n} ms", "warning", *made.now_and_then(pick.randrange(12))
        )
        made.log(service, "client {n} went away", "", *made.now_and_then(pick.randrange(30)))
        if pick.random() < 0.4:
            made.log(service, "ERROR retrying call {n} to upstream: timeout", "error", *made.now_and_then(6))
    for minutes in (27, 17, 7):
        made.change(minutes, f"job tidy ended with status 0 after {pick.randrange(9)} s", "cron", kind="job")
    made.change(pick.uniform(1, 5), "deployed search v8", "search")
    made.facts += [
        Fact("disk /", "41 % used", True, host="web-1"),
        Fact("memory", "5 of 8 GB free", True, host="web-1"),
    ]


def _symptom(made: Made, at: float) -> None:
    """What every fault does to the shop in front: errors, latency, and all that hangs on its traffic."""
    labels = {"job": "shop", "instance": "web-1:9000"}
    made.counter("http_errors_total", after(at, 20, 0.01), **labels)
    made.gauge("shop_workers_busy", after(at, 64, 9), **labels)
    made.gauge("shop_queue_length", after(at, 900, 2), 0.3, **labels)
    for service in ("nginx", "cart"):
        made.counter("upstream_errors_total", after(at, 18, 0.02), job=service, instance="web-1:9009")
        made.log(
            service,
            "ERROR upstream shop answered 502 for request {n}",
            "error",
            *made.now_and_then(150, at + 5),
        )
    made.log(
        "shop", "ERROR request {n} failed after {n} ms: upstream error", "error", *made.now_and_then(300, at)
    )


def _loud(made: Made) -> tuple[Kind, str]:
    _symptom(made, AT - 60)
    made.log("mariadb", "InnoDB: Error number 28 means 'No space left on device'", "error", AT - 95, AT + 10)
    return "logs", "No space left on device"


def _correlated(made: Made) -> tuple[Kind, str]:
    _symptom(made, AT - 60)
    for number in range(40):
        made.gauge(
            f"cart_stage_{number}_seconds", after(AT - 60, 2.5, 0.2), job="cart", instance="web-1:9001"
        )
    made.gauge("redis_blocked_clients", after(AT - 120, 14, 0), job="redis", instance="web-1:9008")
    return "metrics", "redis_blocked_clients"


def _drift(made: Made) -> tuple[Kind, str]:
    _symptom(made, AT - 40)
    used = lambda now: 3e8 + 1.4e9 * max(0.0, now - TIMES[20]) / (AT - TIMES[20])  # noqa: E731
    made.gauge("cache_memory_used_bytes", used, 0.005, job="redis", instance="web-1:9008")
    return "metrics", "cache_memory_used_bytes"


def _earlier_apply(made: Made) -> tuple[Kind, str]:
    _symptom(made, AT - 60)
    made.change(
        9, "apply 41 changed mariadb", "mariadb", "-max_connections = 400\n+max_connections = 40", "apply"
    )
    made.change(0.7, "certificate of the status page renewed", "status", kind="certificate")
    return "changes", "max_connections = 40"


def _unread(made: Made) -> tuple[Kind, str]:
    _symptom(made, AT - 60)
    made.series = [one for one in made.series if one.labels["job"] != "payments"]
    made.lines = [line for line in made.lines if line.service != "payments"]
    made.unread += [
        Unread("prometheus of payments", "timed out"),
        Unread("log of payments", "permission denied"),
    ]
    made.change(6, "rotated the key of the payment provider", "payments")
    return "changes", "rotated the key"


def _one_line(made: Made) -> tuple[Kind, str]:
    _symptom(made, AT - 60)
    made.log("search", "WARN index {n} is {n} documents behind", "warning", *made.now_and_then(8_000))
    made.log("auth", "clock is 95 s ahead of time server {n}", "warning", AT - 140)
    return "logs", "ahead of time server"


def _japanese(made: Made) -> tuple[Kind, str]:
    _symptom(made, AT - 60)
    made.log("stock", "在庫 {n} 件を更新しました（{n} ミリ秒）", "", *made.now_and_then(400))
    made.log(
        "stock",
        "証明書の有効期限が切れているため、接続 {n} を拒否しました",
        "error",
        *made.now_and_then(3, AT - 100, AT),
    )
    return "logs", "有効期限が切れている"


def _vanished(made: Made) -> tuple[Kind, str]:
    _symptom(made, AT - 60)
    for number, one in enumerate(made.series):
        if one.labels["job"] == "mailer" and one.labels["__name__"] != "up":
            made.series[number] = replace(one, values={t: v for t, v in one.values.items() if t < AT - 90})
    return "metrics", "process_cpu_seconds_total ended"


def _restarted(made: Made) -> tuple[Kind, str]:
    _symptom(made, AT - 60)
    starts = lambda now: 1_770_000_000.0 if now < AT - 200 else AT - 210 if now < AT - 60 else AT - 70  # noqa: E731
    made.gauge("process_start_time_seconds", starts, 0, job="stock", instance="web-1:9003")
    return "metrics", "process_start_time_seconds"


def _unlike_errors(made: Made) -> tuple[Kind, str]:
    _symptom(made, AT - 60)
    for n in range(1_500):
        made.log(
            "search",
            f"ERROR {'abcdefghij'[n % 10] * (n % 7 + 1)} {n * 7919 % 997:x}z {'q' * (n % 13)} fault",
            "error",
            AT - 60 + n / 20,
        )
    made.log(
        "payments", "ERROR the provider answered 401: key was revoked", "error", AT - 80, AT - 20, AT + 40
    )
    return "logs", "key was revoked"


def _host_fact(made: Made) -> tuple[Kind, str]:
    _symptom(made, AT - 60)
    made.facts += [Fact(f"unit {name}", "running", True, name, "web-1") for name in SERVICES]
    made.facts.append(Fact("inodes of /var/lib/shop", "0 % free", False, "", "web-1"))
    return "host", "inodes of /var/lib/shop"


def _counter_from_nothing(made: Made) -> tuple[Kind, str]:
    _symptom(made, AT - 60)
    made.counter(
        "mariadb_connections_refused_total", after(AT - 75, 0.4, 0), job="mariadb", instance="web-1:9007"
    )
    return "metrics", "mariadb_connections_refused_total"


SCENARIOS: Mapping[str, Callable[[Made], tuple[Kind, str]]] = {
    "loud downstream": _loud, "correlated": _correlated, "slow drift": _drift, "decoy change": _earlier_apply,
    "unread sources": _unread, "one line in thousands": _one_line, "Japanese": _japanese,
    "vanished": _vanished, "restarted": _restarted, "unlike errors": _unlike_errors, "host fact": _host_fact,
    "counter from nothing": _counter_from_nothing,
}  # fmt: skip


def hard_cases() -> list[Case]:
    """All scenarios, of each seed."""
    return [_case(name, seed) for name in SCENARIOS for seed in SEEDS]


def _case(name: str, seed: int) -> Case:
    made = Made(random.Random(f"{name} {seed}"))
    _ordinary(made)
    kind, text = SCENARIOS[name](made)
    subject = Subject(
        BEGAN, "ShopErrors", {"job": "shop"}, 'rate(http_errors_total{job="shop"}[1m]) > 1',
        "The shop answers with errors", services=frozenset({"shop"}), hosts=frozenset({"web-1"}),
    )  # fmt: skip
    for part in (made.series, made.lines, made.changes, made.facts):
        made.random.shuffle(part)  # type: ignore[arg-type]
    material = Material(
        subject, START, END, tuple(made.series), tuple(made.lines), tuple(made.changes), tuple(made.facts),
        read=("prometheus", "logs", "changes", "host"), unread=tuple(made.unread),
    )  # fmt: skip
    return Case(f"{name} {seed}", material, Answer("fault", name, decisive=(Decisive(kind, (text,)),)))
