"""Recording rules: the catalogue's, and what this stack's jobs, machines and alerts add to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from techsapo_ops.catalogue.alerts import server_up
from techsapo_ops.catalogue.jobs import jobs as scheduled_jobs
from techsapo_ops.catalogue.series import (
    FRONT_ADDRESS,
    JOB_EXPECTED,
    NEWEST_COPY,
    NEWEST_COPY_RULE,
    SCHEDULER_EXPECTED,
    alert_series,
    recording_rules,
    series_needed,
)
from techsapo_ops.services.prometheus.episodes import with_others
from techsapo_ops.services.scheduler.kind import nobody_starts_jobs
from techsapo_ops.stack.layout import SCHEDULER
from techsapo_ops.stack.topology import Topology

MISSING_SERIES = "techsapo:alert_series_missing:info"
"""1 for each series that alerts read and a target that answers lacks, in its labels `missing` and `alerts`:
which series, and whose."""


def recorded_groups(
    topology: Topology, groups: Sequence[Mapping[str, Any]], jobs: Sequence[str]
) -> list[dict[str, Any]]:
    """All recording rules of the stack, whose alert rules are `groups` and whose scrape jobs are `jobs`."""
    return [
        *_of_catalogue(others=len(topology.of_kind("prometheus")) > 1),
        *expected_jobs(topology),
        *_of_machines(topology),
        *_missing_series(groups, jobs),
    ]


def _of_catalogue(*, others: bool) -> list[dict[str, Any]]:
    """The catalogue's recording rules as rule groups of Prometheus; `others`: there are some to hear of."""
    return [
        {
            "name": f"techsapo-{group}",
            "rules": [
                {"record": rule.record, "expr": with_others(rule.expr) if others else rule.expr}
                for rule in rules
            ],
        }
        for group, rules in recording_rules().items()
    ]


def expected_jobs(topology: Topology) -> list[dict[str, Any]]:
    """A rule for each job that somebody starts, where node exporter is there to tell of its runs.

    And one for the scheduler, where it is a service of the stack.
    """
    schedule = topology.spec.schedule
    if schedule.by == "none" or nobody_starts_jobs(topology) or not topology.has("node-exporter"):
        return []
    times = schedule.times()
    rules = [
        {"record": JOB_EXPECTED, "expr": "vector(1)", "labels": {"name": name}}
        for name in scheduled_jobs()
        if times.get(name) is not None
    ]
    if topology.has(SCHEDULER):
        rules.append({"record": SCHEDULER_EXPECTED, "expr": "vector(1)", "labels": {"name": SCHEDULER}})
    return [{"name": "techsapo-jobs", "rules": rules}] if rules else []


def _of_machines(topology: Topology) -> list[dict[str, Any]]:
    """Which host's copy of what jobs leave is the newest, and which hosts have the address that all share.

    Both are known by the hosts' node exporters.
    """
    if len(topology.of_kind("node-exporter")) < 2:
        return []
    newest = {"record": NEWEST_COPY, "expr": NEWEST_COPY_RULE}
    groups = [{"name": "techsapo-textfiles", "rules": [newest]}]
    if topology.spec.floating_address is not None:
        address = topology.spec.floating_address.partition("/")[0]
        seen = f'node_network_address_info{{job="node-exporter",address="{address}"}}'
        held = {"record": FRONT_ADDRESS, "expr": f"max by (host, address) ({seen})"}
        groups.append({"name": "techsapo-front", "rules": [held]})
    return groups


def _missing_series(groups: Sequence[Mapping[str, Any]], jobs: Sequence[str]) -> list[dict[str, Any]]:
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
