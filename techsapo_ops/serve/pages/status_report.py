"""What the Status page shows: health, alerts, jobs and costs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlsplit

import structlog

from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.prometheus import Firing, Prometheus
from techsapo_ops.catalogue.alerts import WATCHDOG
from techsapo_ops.catalogue.pages import LOCALES, runbooks
from techsapo_ops.catalogue.series import NEXT
from techsapo_ops.errors import OpsError
from techsapo_ops.serve.answers.spending import WARN_AT, Spending
from techsapo_ops.serve.bodies.monitoring import (
    AcknowledgedBody,
    AlertBody,
    BackupsBody,
    BudgetBody,
    CertificateBody,
    CostsBody,
    DiskBody,
    DrillBody,
    ExposureBody,
    FrontBody,
    JobBody,
    MaintenanceBody,
    MonthBody,
    ProviderCostBody,
    ServiceBody,
    StatusBody,
)
from techsapo_ops.serve.metrics.health import Health
from techsapo_ops.serve.options import Options
from techsapo_ops.serve.pages.acknowledgements import Acknowledgements, Glance
from techsapo_ops.serve.pages.stack_report import (
    NewestCopies,
    Queried,
    certificates_of,
    disks_of,
    front_of,
    services_of,
)
from techsapo_ops.services.alertmanager.acknowledging import Acknowledgement
from techsapo_ops.services.alertmanager.silencing import Muted, began_of
from techsapo_ops.stack.maintenance import notice_in
from techsapo_ops.stores.audit.log import AuditLog

log = structlog.get_logger()

_JOBS = {
    "last_run": "techsapo_job_last_run_timestamp_seconds",
    "last_success": "techsapo_job_last_success_timestamp_seconds",
    "exit_code": "techsapo_job_last_exit_code",
    "next_run": "techsapo_job_next_run_timestamp_seconds",
}
"""What jobs leave for node exporter's textfile collector."""
_BACKUPS = {
    "newest": "techsapo_backup_newest_timestamp_seconds",
    "verified": "techsapo_backup_newest_verified_timestamp_seconds",
    "ok": "techsapo_backup_last_verification_success",
    "offsite_verified": "techsapo_backup_offsite_verified_timestamp_seconds",
    "offsite_ok": "techsapo_backup_offsite_last_verification_success",
}
"""What the backups leave there."""
_DRILLS = {
    "last_run": "techsapo_drill_last_run_timestamp_seconds",
    "last_success": "techsapo_drill_last_success_timestamp_seconds",
    "ok": "techsapo_drill_last_success",
}
"""What the drills leave there."""


class _Report(NamedTuple):
    """What Prometheus reports; None where it does not answer."""

    alerts: list[AlertBody] | None = None
    services: list[ServiceBody] | None = None
    disks: list[DiskBody] | None = None
    certificates: list[CertificateBody] | None = None
    front: FrontBody | None = None
    jobs: list[JobBody] | None = None
    backups: BackupsBody | None = None


@dataclass(frozen=True, slots=True)
class StatusReport:
    """Health, exposures, alerts, jobs and costs in one document. `options` tell the alerts' thresholds and
    the exposures as they are now. `prometheus` is None where the stack has none.
    """

    health: Health
    prometheus: Prometheus | None
    spending: Spending
    audit: AuditLog
    options: Options
    acknowledgements: Acknowledgements | None = None

    async def body(self) -> StatusBody:
        """Alerts and jobs are null where no Prometheus tells of them, and `watched` says why."""
        facts = await asyncio.to_thread(self.options.page_facts)
        (_, health), (watched, report) = await asyncio.gather(
            self.health.detailed(), self._watched(facts.thresholds)
        )
        spent = await asyncio.to_thread(_costs, self.audit, self.spending.budget.count_simulated)
        folder = self.options.maintenance
        closed = await asyncio.to_thread(notice_in, folder) if folder is not None else None
        budget = [
            BudgetBody(
                period=labels["period"],
                percent=percent,
                limit_usd=self._limit(labels["period"]),
                warn_percent=facts.thresholds.get("BudgetHigh", 100 * WARN_AT),
            )
            for labels, percent in self.spending.percent()
        ]
        return StatusBody(
            health=health,
            maintenance=None
            if closed is None
            else MaintenanceBody(
                detail=closed.detail,
                until=closed.until.isoformat() if closed.until is not None else None,
                forgotten=closed.forgotten,
            ),
            exposures=[ExposureBody.model_validate(each) for each in facts.exposures],
            watched=watched,
            alerts=report.alerts,
            unreached=list(facts.unreached),
            front=report.front,
            services=report.services,
            disks=report.disks,
            certificates=report.certificates,
            jobs=report.jobs,
            backups=report.backups,
            costs=CostsBody(budget=budget, month=spent),
        )

    async def _watched(self, thresholds: Mapping[str, float]) -> tuple[str, _Report]:
        """What Prometheus tells, and who has which alert, which none of it waits for long."""
        if self.prometheus is None:
            return "absent", _Report()
        acknowledgements = self.acknowledgements
        left = NewestCopies(self.prometheus) if self.options.spec.hosts else self.prometheus
        try:
            firing, stack, jobs, backups, seen = await asyncio.gather(
                asyncio.to_thread(self.prometheus.alerts),
                asyncio.to_thread(_stack, self.prometheus, left, thresholds),
                asyncio.to_thread(_jobs, left),
                asyncio.to_thread(_backups, left),
                asyncio.to_thread(acknowledgements.glance if acknowledgements is not None else Glance),
            )
        except (Unreachable, ApiError):
            return "unreachable", _Report()
        alerts = _alerts(firing, seen, self.options.spec.locale)
        return "ready", _Report(alerts, *stack, jobs, backups)

    def _limit(self, period: str) -> float:
        budget = self.spending.budget
        return budget.resolved_daily_usd if period == "day" else budget.monthly_usd


def _stack(
    prometheus: Prometheus, left: Queried, thresholds: Mapping[str, float]
) -> tuple[list[ServiceBody], list[DiskBody], list[CertificateBody], FrontBody | None]:
    certificates = certificates_of(left)
    return services_of(prometheus), disks_of(prometheus, thresholds), certificates, front_of(prometheus)


def _alerts(firing: Iterable[Firing], seen: Glance, locale: str) -> list[AlertBody]:
    """The alerts that fire, worst first, then those about to and those that nobody is told of, and who has
    them. Watchdog is no news. `locale` is the language of the stack's messages.
    """
    order = {"critical": 0, "warning": 1, "info": 2}
    states = ("firing", "pending", "silenced", "inhibited")

    def hushed(alert: Firing) -> Muted | None:
        return seen.muted.get(frozenset(alert.labels.items())) if alert.state == "firing" else None

    alerts = [
        AlertBody(
            name=alert.labels.get("alertname", ""),
            severity=alert.labels.get("severity", ""),
            instance=alert.labels.get("instance", ""),
            state=muted.why if muted else alert.state,
            since=began_of(alert, seen.began).isoformat(),
            until=muted.until.isoformat() if muted and muted.until else None,
            summary=alert.annotations.get("summary", ""),
            description=alert.annotations.get("description", ""),
            summaries=_summaries(alert.annotations, locale),
            runbook=_runbook(alert.annotations.get("runbook_url", "")),
            acknowledged=_acknowledged(seen.held.get(frozenset(alert.labels.items()))),
        )
        for alert, muted in ((each, hushed(each)) for each in firing)
        if alert.labels.get("alertname") != WATCHDOG and NEXT not in alert.labels
    ]
    return sorted(alerts, key=lambda a: (states.index(a.state), order.get(a.severity, 3)))


def _summaries(annotations: Mapping[str, str], locale: str) -> dict[str, str]:
    """By language what the alert says; nothing where it says it in one alone."""
    others = {each: annotations[f"summary_{each}"] for each in LOCALES if f"summary_{each}" in annotations}
    return {locale: annotations.get("summary", ""), **others} if others else {}


def _acknowledged(held: Acknowledgement | None) -> AcknowledgedBody | None:
    if held is None:
        return None
    times = {"at": held.at.isoformat(), "until": held.until.isoformat()}
    return AcknowledgedBody(by=held.by, comment=held.own_comment, **times)


def _runbook(url: str) -> str:
    """Where the page is that an alert names; one of this app without its outside address, which the reader
    may not have come by.
    """
    path = urlsplit(url).path
    return path if path.startswith("/runbooks/") and path.rpartition("/")[2] in runbooks() else url


def _jobs(prometheus: Queried) -> list[JobBody]:
    """By job: when it ran, succeeded and is due (Unix seconds), and how its last run ended."""
    return [JobBody(name=name, **row) for name, row in _rows(prometheus, _JOBS, "name").items()]


def _rows(prometheus: Queried, metrics: Mapping[str, str], label: str) -> dict[str, dict[str, float | None]]:
    """The value of each of `metrics` under its key, by `label` in the order of its values."""
    rows: dict[str, dict[str, float | None]] = {}
    for key, metric in metrics.items():
        for sample in prometheus.query(metric):
            rows.setdefault(sample.labels.get(label, ""), dict.fromkeys(metrics))[key] = sample.value
    return dict(sorted(rows.items()))


def _backups(prometheus: Queried) -> BackupsBody:
    """What is known of the backups here and off-site."""
    values: dict[str, float | None] = {}
    for key, metric in _BACKUPS.items():
        values[key] = max((sample.value for sample in prometheus.query(metric)), default=None)
    good = {key: None if values[key] is None else values[key] == 1 for key in ("ok", "offsite_ok")}
    return BackupsBody.model_validate({**values, **good, "drills": _drills(prometheus)})


def _drills(prometheus: Queried) -> list[DrillBody]:
    """The newest of each drill."""
    return [
        DrillBody(
            name=name,
            last_run=row["last_run"],
            last_success=row["last_success"],
            ok=None if row["ok"] is None else row["ok"] == 1,
        )
        for name, row in _rows(prometheus, _DRILLS, "drill").items()
    ]


def _costs(audit: AuditLog, simulated_counts: bool) -> MonthBody | None:
    """By provider since the first of the month; None if unread."""
    try:
        report = audit.costs_since(
            datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        )
    except OpsError as error:
        log.warning("Costs can not be read", error=error.message)
        return None
    return MonthBody(
        total_usd=report.total_usd,
        simulated_usd=report.simulated_usd,
        simulated_counts=simulated_counts,
        requests=report.requests,
        cached=report.cached,
        providers=[
            ProviderCostBody(name=r.name, calls=r.calls, failed=r.failed, usd=r.cost_usd) for r in report.rows
        ],
    )
