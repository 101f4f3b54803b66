"""A week in which nobody should be woken, as series for `promtool test rules`, a sample a minute.

Names, labels and first values are those that a real stack's Prometheus has scraped, and what one question
adds to which counter is the difference of two such scrapes. What a job leaves for the textfile collector,
which takes days, is written here by `job_metrics.yaml`. Then a week goes over them:

    every hour one question; one of them takes 70 s, as if it were all our fault, and one fails
    02:30 a backup, 04:00 its trial, 04:30 those that are too old go; disks and memory breathe
    a certificate is renewed on the third day, when a third of its life is left
    the app is deployed anew on the third and the fifth day, one instance after the other
    on the sixth day the host reboots and is away for three minutes
    now and then somebody asks for /.env, guesses a key or uses one that has expired
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

DAY = 1440
DAYS = 7
LENGTH = DAYS * DAY
ASKED = [hour * 60 + 17 for hour in range(24 * DAYS)]
SLOW = 3 * DAY + 9 * 60 + 17
"""An answer that takes 70 s, in an hour without another."""
FAILED = 1 * DAY + 15 * 60 + 17
"""A question that ends without an answer."""
DEPLOYS = (2 * DAY + 14 * 60 + 5, 4 * DAY + 10 * 60 + 5)
DEPLOY_MINUTES = 8
REBOOT = 5 * DAY + 3 * 60 + 41
AWAY = 3
"""Minutes without the host, and with it without Prometheus."""
SCANS = (7 * 60 + 3, 3 * DAY + 22 * 60 + 9)
"""One request for /.env each, and one with a key that nobody has."""
EXPIRED = 6 * DAY + 11 * 60 + 30
"""One call with a key that has expired."""
BACKUP, TRIAL, PRUNE = 150, 240, 270
"""Minutes of each day."""
CERTIFICATE_DAYS = 90
RENEWED = 2 * DAY + 180
EVENTS = (*SCANS, FAILED, RENEWED, *DEPLOYS, SLOW, 4 * DAY, REBOOT, EXPIRED)
"""Where a minute may differ from the next one in more than that somebody asks; with a midnight, at which a
day's budget begins, and the night of the reboot, in which there are a backup and its trial."""
QUICK, RATIO = 0.3, 0.05
"""Seconds that an answer takes, and what that is of the time that it may take."""

Sample = float | str | None
"""A value; `stale` where Prometheus says that the series ended; None where it did not scrape."""


@dataclass(frozen=True)
class Scraped:
    """A series as a real Prometheus has it, and what one question added to it (a bucket: to all)."""

    name: str
    labels: Mapping[str, str]
    value: float
    step: float = 0.0

    @property
    def written(self) -> str:
        """As PromQL selects it."""
        return f"{self.name}{{{','.join(f'{k}={_quoted(v)}' for k, v in sorted(self.labels.items()))}}}"

    def label(self, name: str) -> str:
        return self.labels.get(name, "")


Lived = list[tuple[Scraped, list[Sample]]]


def week(scraped: Iterable[Scraped]) -> Lived:
    """Each series with its values, but those of tiers for which nobody asks, and buckets in which nothing
    ever is: all 0.
    """
    return [
        (series, _values(series))
        for series in scraped
        if series.step
        or series.value
        or not (series.name.endswith("_bucket") or series.label("task_type") in ("premium", "critical"))
    ]


def between(lived: Lived, begin: int, end: int, step: int = 1) -> list[tuple[str, str]]:
    """Each `step`th of these minutes in promtool's notation, whose clock is at 0 when they begin."""
    return [
        (
            series.written,
            notation([
                value - 60.0 * begin if isinstance(value, float) and _TIMES.search(series.name) else value
                for value in values[begin:end:step]
            ]),
        )
        for series, values in lived
    ]  # fmt: skip


_TIMES = re.compile("_(time|timestamp)_seconds$")


def _values(series: Scraped) -> list[Sample]:
    shape = next((s for pattern, s in _SHAPES.items() if re.fullmatch(pattern, series.name)), None)
    gains, starts = _gains(series), _starts(series)
    since, total = 0, series.value
    found: list[Sample] = []
    for begin, end in pairwise(sorted({0, *starts, *gains, LENGTH})):
        if begin in starts:
            since, total = begin, 0.0 if counts(series.name) else series.value
        total += gains.get(begin, 0.0)
        if shape is None:
            found += [1.0 if series.name == "up" else total] * (end - begin)
        else:
            found += [shape(series, t, since) for t in range(begin, end)]
    for t in _away(series):
        found[t] = 0.0 if series.name == "up" else "stale"
    found[REBOOT : REBOOT + AWAY] = [None] * AWAY
    return found


def _number_of(series: Scraped) -> int:
    """Which of the apps it is of, from 1; 0 for anything else."""
    return int(series.label("instance").removeprefix("app-")) if series.label("job") == "techsapo-app" else 0


def _away(series: Scraped) -> set[int]:
    """Minutes in which its target does not answer: a deploy takes one instance after the other, each for less
    than a minute; after a reboot the apps come last.
    """
    number = _number_of(series)
    return {*(at + 2 * number for at in DEPLOYS), REBOOT + AWAY} if number else set()


def _starts(series: Scraped) -> set[int]:
    """Minutes in which the process behind it is started."""
    number = _number_of(series)
    return {REBOOT + AWAY, *(at + 2 * number + 1 for at in DEPLOYS if number)}


def _gains(series: Scraped) -> dict[int, float]:
    """What is added in which minute."""
    number = _number_of(series)
    gains: dict[int, float] = {}
    if series.step and number:
        # Three of five questions go to the first, two to the second; the third is a spare.
        mine = [at for at in ASKED if number == (1 if at // 60 % 5 < 3 else 2)]
        gains = {at: _of_one(series, at) for at in mine}
    if number == 1 and series.name in _NOISY:
        for at, reason in _NOISE:
            if series.label("reason") == reason:
                gains[at] = gains.get(at, 0.0) + 1.0
    return gains


def _of_one(series: Scraped, at: int) -> float:
    """What the question of this minute adds."""
    ended = series.label("status")
    if at == FAILED and series.name in ("techsapo_wallbounce_requests_total", "techsapo_http_requests_total"):
        return 0.0 if ended in ("success", "200") else series.step
    # Also as far as the time is ours, and of the time that it may take: the worst that one answer can be.
    took = {"duration_seconds": 70.0, "used_ratio": 0.9} if at == SLOW else _TAKES
    bound = next((b for part, b in took.items() if part in series.name), 0.0)
    if series.name.endswith("_bucket"):
        return series.step if float(series.label("le")) >= bound else 0.0
    if series.name.endswith("duration_seconds_sum"):
        return bound if series.step else 0.0
    return series.step


_TAKES = {"duration_seconds": QUICK, "used_ratio": RATIO}
_NOISY = {"techsapo_anomaly_requests_total", "techsapo_auth_failures_total"}
_NOISE = [
    *((at, reason) for at in SCANS for reason in ("sensitive_path", "unknown")),
    (EXPIRED, "expired_key"),
    (EXPIRED, "expired"),
]


def counts(name: str) -> bool:
    """Whether it is a counter, which begins at 0 with its process."""
    return name.endswith(("_total", "_count", "_sum", "_bucket"))


def _last(minute: int, t: int) -> int:
    """When that minute of a day was last."""
    return (t - minute) // DAY * DAY + minute


def _certificate(series: Scraped, t: int, _: int) -> float:
    whole = CERTIFICATE_DAYS * DAY
    end = CERTIFICATE_DAYS / 3 * DAY + RENEWED
    if t >= RENEWED:
        end = RENEWED + whole
    return 60.0 * (end - (whole if "not_before" in series.name else 0))


def _next_run(series: Scraped, t: int, _: int) -> float:
    at = {"backup": BACKUP, "verify": TRIAL, "prune": PRUNE}.get(series.label("name"), 60)
    # A run takes five minutes, and leaves its record at the end.
    return 60.0 * (_last(at + 5, t) - 5 + DAY)


def _last_run(series: Scraped, t: int, since: int) -> float:
    return _next_run(series, t, since) - 60.0 * (DAY - 5)


def _applied(_: Scraped, t: int, __: int) -> float:
    return 60.0 * max((at + DEPLOY_MINUTES for at in DEPLOYS if at + DEPLOY_MINUTES <= t), default=-DAY)


def _free(series: Scraped, t: int, _: int) -> float:
    """A backup of a twentieth of the disk is made each night, and two hours later the eighth goes."""
    size = series.value
    night = 0.05 * size if BACKUP <= t % DAY < PRUNE else 0.0
    written = 0.002 * size * math.floor(t / 60) / 24
    return round(0.35 * size - night - written)


def _available(series: Scraped, t: int, _: int) -> float:
    return round(series.value * (0.6 + 0.1 * math.sin(t // 10 / 30)))


def _spent(series: Scraped, t: int, _: int) -> float:
    begun = t // DAY * DAY if series.label("period") == "day" else 0
    return 0.06 * sum(1 for at in ASKED if begun <= at <= t)


def _latest_start(_: Scraped, __: int, since: int) -> float:
    return 60.0 * since


def _probed(series: Scraped, t: int, since: int) -> float:
    """After a reboot nginx is there before the apps are."""
    return 0.0 if t == REBOOT + AWAY else series.value


Shape = Callable[[Scraped, int, int], Sample]
_SHAPES: dict[str, Shape] = {
    "techsapo_cert_not_.*|probe_ssl_last_chain_expiry_timestamp_seconds": _certificate,
    "probe_success": _probed,
    "techsapo_job_next_run_timestamp_seconds": _next_run,
    "techsapo_job_last_success_timestamp_seconds": _last_run,
    "techsapo_apply_timestamp_seconds": _applied,
    "techsapo_scheduler_heartbeat_timestamp_seconds": lambda _, t, __: 60.0 * t,
    "techsapo_backup_newest_timestamp_seconds": lambda _, t, __: 60.0 * _last(BACKUP, t),
    "techsapo_backup_newest_verified_timestamp_seconds": lambda _, t, __: (
        60.0 * (_last(TRIAL, t) - TRIAL + BACKUP)
    ),
    "node_filesystem_avail_bytes": _free,
    "node_memory_MemAvailable_bytes": _available,
    "node_time_seconds": lambda _, t, __: 60.0 * t,
    "techsapo_budget_spent_usd": _spent,
    "process_start_time_seconds|prometheus_config_last_reload_success_timestamp_seconds": _latest_start,
    # A minute before the first scrape, by the clock of node_time_seconds; at first it has run for days.
    "node_boot_time_seconds": lambda _, __, since: 60.0 * since - (60 if since else 3e6),
    "redis_uptime_in_seconds|mysql_global_status_uptime": lambda _, t, since: 60.0 * (t - since) + 30,
    # What depends on how busy the machine is that runs the test.
    "scrape_duration_seconds": lambda _, __, ___: 0.02,
    "techsapo_memory_usage_percent": lambda _, __, ___: 40.0,
    "prometheus_notifications_queue_length": lambda _, __, ___: 0.0,
    # The stack that was scraped has no probes, and so not the rules about them, which the week has.
    "prometheus_rule_group_rules": lambda _, __, ___: 1000.0,
    # Each scrape of its status page adds one.
    "nginx_http_requests_total": lambda _, t, since: 4.0 * (t - since) + 1,
}
"""How a series goes, where it is neither as it was nor moved by questions alone."""


_RUN = 32
"""Values that are compared at once: most are as the one before."""


def notation(values: list[Sample]) -> str:
    """`values` as promtool reads them: `1x3` is four times 1, `0+2x3` is 0 2 4 6, `_x3` three gaps."""
    parts: list[str] = []
    at = 0
    while at < len(values):
        value = values[at]
        same = at + 1
        while values[same : same + _RUN] == [value] * _RUN:
            same += _RUN
        while same < len(values) and values[same] == value:
            same += 1
        step = _step(values, at)
        rising = at + 1
        while step is not None and rising < len(values) and values[rising] == value + step * (rising - at):  # type: ignore[operator]
            rising += 1
        if value is None:
            parts.append(f"_x{same - at}")
        elif value == "stale":
            parts += ["stale"] * (same - at)
        elif rising - at > max(2, same - at):
            parts.append(f"{_number(value)}+{_number(step)}x{rising - at - 1}")
            same = rising
        else:
            # promtool reads 0x20 as the hexadecimal number 32.
            times = "" if same - at == 1 else f"+0x{same - at - 1}" if value == 0 else f"x{same - at - 1}"
            parts.append(_number(value) + times)
        at = same
    return " ".join(parts)


def _step(values: list[Sample], at: int) -> float | None:
    here, after = values[at], values[at + 1] if at + 1 < len(values) else None
    if isinstance(here, float) and isinstance(after, float) and after > here:
        return after - here
    return None


def _number(value: Sample) -> str:
    assert isinstance(value, float | int)
    return repr(float(value)).removesuffix(".0")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
