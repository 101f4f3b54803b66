"""Alerts that cannot fire: what they read is missing, or their rule is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.catalogue.alert_series import alert_series, series_needed
from techsapo_ops.catalogue.alerts import server_up
from techsapo_ops.messages import joined, msg
from techsapo_ops.stack.health import HealthPart, PartStatus

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
        if "node-exporter" in jobs:
            ended = f'techsapo_job_last_success_timestamp_seconds{{name="{known.of_jobs[series]}"}}'
            yield f"max by (job) ({ended}) > 0 unless on () {series}"
    elif scrape_job in jobs:
        # An exporter whose server is away has no more than that to say, which is an alert of its own.
        server = {**server_up(), "sentinel": "redis_up"}.get(scrape_job, "up")
        answers = f'{server}{{job="{scrape_job}"}} == 1'
        yield f"{answers} unless on (job, instance) {series}"


def cannot_fire(asked: Prometheus, expected: Sequence[str]) -> tuple[HealthPart, ...]:
    """The alerts that cannot fire, and why, by what `asked` has loaded; `expected` are those of the spec.

    Nothing where all can. Raises as Prometheus.query does.
    """
    loaded = {rule.name for rules in asked.rules().values() for rule in rules}
    found: dict[str, str] = {name: msg("its rule is not loaded") for name in expected if name not in loaded}
    for sample in asked.query(MISSING_SERIES):
        for name in sample.labels.get("alerts", "").split(", "):
            where = sample.labels.get("instance", "")
            found.setdefault(
                name, msg("{instance} has no {missing}", instance=where, missing=sample.labels["missing"])
            )
    if not found:
        return ()
    what = joined("; ", (msg("{name}: {why}", name=name, why=why) for name, why in sorted(found.items())))
    count = len(found)
    detail = (
        msg("1 alert cannot fire: {what}", what=what)
        if count == 1
        else msg("{count} alerts cannot fire: {what}", count=count, what=what)
    )
    hint = msg("`techsapo runbook AlertCannotFire`")
    return (HealthPart("alerts", "alerts", PartStatus.DEGRADED, detail, hint=hint),)
