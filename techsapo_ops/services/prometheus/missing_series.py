"""Rules by which Prometheus says of each series that alerts need that it is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from techsapo_ops.catalogue.alert_series import alert_series, series_needed
from techsapo_ops.catalogue.alerts import server_up

MISSING_SERIES = "techsapo:alert_series_missing:info"
"""1 for each series that alerts read and a target that answers lacks, in its labels `missing` and `alerts`:
which series, and whose."""


def missing_series(groups: Sequence[Mapping[str, Any]], jobs: Sequence[str]) -> list[dict[str, Any]]:
    """A rule for each series that the alerts of `groups` need and one of the scrape jobs `jobs` brings."""
    readers: dict[str, list[str]] = {}
    for rule in (rule for group in groups for rule in group["rules"]):
        for series in series_needed(rule["expr"]):
            readers.setdefault(series, []).append(rule["alert"])
    rules = [
        {
            "record": MISSING_SERIES,
            "expr": expr,
            "labels": {"missing": series, "alerts": ", ".join(sorted(names))},
        }
        for series, names in sorted(readers.items())
        for expr in _missing(series, jobs)
    ]
    return [{"name": "techsapo-alert-series", "rules": rules}] if rules else []


def _missing(series: str, jobs: Sequence[str]) -> Iterator[str]:
    """What is true while `series` should be there and is not; nothing where nothing brings it."""
    known = alert_series()
    scrape_job = known.scrape_job(series)
    if series in known.of_jobs:
        if known.textfiles in jobs:
            ended = f'techsapo_job_last_success_timestamp_seconds{{name="{known.of_jobs[series]}"}}'
            yield f"max by (job) ({ended}) > 0 unless on () {series}"
    elif scrape_job is not None and scrape_job in jobs:
        # An exporter whose server is away has no more than that to say, which is an alert of its own.
        server = {**server_up(), **known.answers}.get(scrape_job, "up")
        answers = f'{server}{{job="{scrape_job}"}} == 1'
        yield f"{answers} unless on (job, instance) {series}"
