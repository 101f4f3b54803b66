"""Series of Prometheus: of the app and of jobs, by recording rules, and those that an alert needs.

Of what jobs, backups and certificates left, each of several hosts has a copy, and the newest one is read. A
host that was away comes back with the files of then, and has the current ones with the next job or apply.
Until then its copy may say that a job is overdue, or that a backup is broken which was found right elsewhere
since.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from types import MappingProxyType
from typing import Any, Literal

from techsapo_ops.catalogue.yaml_text import packaged_table, packaged_yaml

MetricKind = Literal["counter", "histogram", "gauge", "untyped"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One entry of metrics.yaml; the file's head explains each key.

    `name` is the full name as Prometheus sees it: a counter's ends in `_total`.
    """

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The only values of a label, for labels that have a closed set of them."""

    @property
    def series(self) -> tuple[str, ...]:
        """The names under which its samples are stored."""
        if self.kind == "histogram":
            return tuple(self.name + suffix for suffix in ("_bucket", "_sum", "_count"))
        return (self.name,)

    def known_children(self, **fixed: str) -> Iterator[dict[str, str]]:
        """Label sets that can be told beforehand: `fixed` together with every combination of `values`.

        Yields nothing while a label is neither in `fixed` nor in `values`.
        """
        choices = [(fixed[n],) if n in fixed else self.values.get(n, ()) for n in self.labels]
        for combination in product(*choices):
            yield dict(zip(self.labels, combination, strict=True))


@cache
def metrics() -> Mapping[str, Metric]:
    """Every metric of the app by name, in the order of metrics.yaml."""
    return packaged_table("metrics.yaml", Metric)


@cache
def job_metrics() -> Mapping[str, Metric]:
    """Every metric that jobs leave for the textfile collector, in the order of job_metrics.yaml."""
    return packaged_table("job_metrics.yaml", Metric)


ANSWERING = ("/api/v1/generate", "/api/v1/analyze-logs", "/v1/chat/completions")
"""Templates of the routes that answer users, and of no other: whether they fail, and how long they take, is
what users notice. Pages that poll, dashboards, scrapes, probes and webhooks would dilute it, or fail alone.
"""
API_ROUTES = f'route=~"{"|".join(ANSWERING)}"'
"""Label matchers for them."""
JOB_EXPECTED = "techsapo:job_expected:info"
SCHEDULER_EXPECTED = "techsapo:scheduler_expected:info"
"""1 for each job that the spec schedules, in the label `name`. Rules of its own make it, so that a job which
never ran and left nothing is still missed."""
FRONT_ADDRESS = "techsapo:front_address:info"
"""Series of each host that has the address which several share, with that address."""

EPISODE = "techsapo:alert:episode"
"""1 for each series of an alert that fires, with the alert's labels and SINCE. An episode goes on while the
alert is away for less than ten minutes, as while Prometheus restarts."""
EPISODES_JOB = "techsapo-episodes"
"""The scrape job by which one Prometheus reads the others' episodes."""
EPISODE_SINCE = "techsapo:alert:since_timestamp_seconds"
"""When it began, for each, as a value."""
OTHERS_SINCE = "techsapo:alert:others_since_timestamp_seconds"
"""The same of the other Prometheis of the stack, on several machines: all then say the earliest one."""
SINCE = "since"
"""Label that says when an episode began (Unix seconds); it tells one from the next of the same alert."""
OF_THE_RULE = ("alertname", "severity", "page", "priority", "service")
"""Labels that say of an alert what its rule, or its probe, does, and not which of several it is."""
NEXT = "next"
"""Label of an alert that is sent once more since nobody acknowledged it: which of `notifications.next`."""


@dataclass(frozen=True, slots=True)
class RecordingRule:
    """The series `record` holds the value of the PromQL expression `expr`."""

    record: str
    expr: str


def expand_api(expr: str) -> str:
    """Put API_ROUTES where `expr` says `{api}`, as a whole selector or within one."""
    return expr.replace("{{api},", "{" + API_ROUTES + ",").replace("{api}", "{" + API_ROUTES + "}")


def _rules(entry: Mapping[str, Any]) -> Iterator[RecordingRule]:
    """The rule of an entry, or one for each of its windows."""
    for window in entry.get("windows", [""]):
        record, expr = (entry[key].replace("{window}", window) for key in ("record", "expr"))
        yield RecordingRule(record, expand_api(expr))


@cache
def recording_rules() -> Mapping[str, tuple[RecordingRule, ...]]:
    """Recording rules by group, in the order of rules.yaml."""
    return MappingProxyType(
        {
            group: tuple(rule for entry in rules for rule in _rules(entry))
            for group, rules in packaged_yaml("rules.yaml").items()
        }
    )


NEWEST_COPY = "techsapo:newest_textfiles:info"
"""Series of the node exporter whose host got its files last. They are written together: all of a host are
as old as its newest one."""
_MTIME = 'node_textfile_mtime_seconds{job="node-exporter"}'
NEWEST_COPY_RULE = f"max by (instance) ({_MTIME}) == scalar(max({_MTIME}))"
_OF_A_COPY = "instance, host"
"""Labels that say whose copy it is: whichever host is the newest after a delivery, it is the same alert."""


@cache
def _selectors() -> re.Pattern[str]:
    names = "|".join(sorted(job_metrics(), key=len, reverse=True))
    return re.compile(rf"(?<![\w:])(?:{names})(?![\w:])(?:\{{[^}}]*\}})?(?!\[)")


def of_newest_copy(expr: str) -> str:
    """`expr` with each series that jobs leave narrowed to the copy of the host that got it last."""
    return _selectors().sub(
        lambda match: f"max without ({_OF_A_COPY}) ({match[0]} and on (instance) {NEWEST_COPY})", expr
    )


_STRINGS = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")
_SELECTORS = re.compile(r"\{[^{}]*\}|\[[^\[\]]*\]")
_GROUPINGS = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)")
_NAMES = re.compile(r"(?<![\w:.])[a-zA-Z_:][\w:]*+(?!\s*\()")
_WORDS = {"and", "or", "unless", "by", "without", "bool", "offset", "group_left", "group_right"}
_NUMBERS = re.compile(r"(?<![\w:])[0-9][\w.]*")


def metric_names(expr: str) -> set[str]:
    """The names of the series that `expr` reads."""
    for pattern in (_STRINGS, _SELECTORS, _GROUPINGS, _NUMBERS):
        expr = pattern.sub(" ", expr)
    return set(_NAMES.findall(expr)) - _WORDS


@dataclass(frozen=True, slots=True)
class AlertSeries:
    """The file; its head explains each key."""

    scrape_jobs: Mapping[str, str]
    textfiles: str
    answers: Mapping[str, str]
    of_jobs: Mapping[str, str]
    with_an_event: frozenset[str]

    def scrape_job(self, series: str) -> str | None:
        """The scrape job that brings `series`; None for what Prometheus makes."""
        if series in job_metrics():
            return self.textfiles
        return next((job for prefix, job in self.scrape_jobs.items() if series.startswith(prefix)), None)


@cache
def alert_series() -> AlertSeries:
    """What alert_series.yaml says."""
    parts = packaged_yaml("alert_series.yaml")
    return AlertSeries(
        MappingProxyType(parts["scrape_jobs"]),
        parts["textfiles"],
        MappingProxyType(parts["answers"]),
        MappingProxyType(parts["of_jobs"]),
        frozenset(parts["with_an_event"]),
    )


@cache
def _recorded() -> Mapping[str, str]:
    return {rule.record: rule.expr for rules in recording_rules().values() for rule in rules}


@cache
def series_read(expr: str) -> Set[str]:
    """The scraped series that `expr` rests on, also by way of the catalogue's recording rules."""
    recorded = _recorded()
    read: set[str] = set()
    left, seen = [expr], set[str]()
    while left:
        names = metric_names(left.pop()) - seen
        seen |= names
        left += [recorded[name] for name in names if name in recorded]
        read |= {name for name in names if ":" not in name}
    return frozenset(read)


def series_needed(expr: str) -> Set[str]:
    """Of these, what has to be there wherever its scrape job answers, or its job has succeeded."""
    return series_read(expr) - alert_series().with_an_event


def brought_by(expr: str) -> Set[str]:
    """The scrape jobs that bring what `expr` reads."""
    known = alert_series()
    return {job for series in series_read(expr) if (job := known.scrape_job(series)) is not None}
