"""Which series an alert needs, so that it can fire; alert_series.yaml says what a healthy stack may lack."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from techsapo_ops.catalogue.metrics import job_metrics
from techsapo_ops.catalogue.rules import recording_rules
from techsapo_ops.catalogue.yaml_text import packaged_yaml

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
    found = packaged_yaml("alert_series.yaml")
    return AlertSeries(
        MappingProxyType(found["scrape_jobs"]),
        found["textfiles"],
        MappingProxyType(found["answers"]),
        MappingProxyType(found["of_jobs"]),
        frozenset(found["with_an_event"]),
    )


def series_read(expr: str) -> Set[str]:
    """The scraped series that `expr` rests on, also by way of the catalogue's recording rules."""
    recorded = {rule.record: rule.expr for rules in recording_rules().values() for rule in rules}
    found: set[str] = set()
    left, seen = [expr], set[str]()
    while left:
        names = metric_names(left.pop()) - seen
        seen |= names
        left += [recorded[name] for name in names if name in recorded]
        found |= {name for name in names if ":" not in name}
    return found


def series_needed(expr: str) -> Set[str]:
    """Of these, what has to be there wherever its scrape job answers, or its job has succeeded."""
    return series_read(expr) - alert_series().with_an_event


def brought_by(expr: str) -> Set[str]:
    """The scrape jobs that bring what `expr` reads."""
    known = alert_series()
    return {job for series in series_read(expr) if (job := known.scrape_job(series)) is not None}
