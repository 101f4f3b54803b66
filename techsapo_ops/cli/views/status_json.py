"""`techsapo status --json`: stable keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from techsapo_ops.adapters.away import away_json
from techsapo_ops.catalogue.alerts import WATCHDOG
from techsapo_ops.cli.views.services import service_json

if TYPE_CHECKING:
    from techsapo_ops.health.report import HealthReport
    from techsapo_ops.operations.apply.drift import DriftReport
    from techsapo_ops.operations.certificates.status import Status as CertificateStatus
    from techsapo_ops.operations.status.kept import Backups
    from techsapo_ops.operations.status.spent import Spent
    from techsapo_ops.operations.status.status import Look, StackStatus
    from techsapo_ops.operations.status.versions import Versions
    from techsapo_ops.operations.watch.alerts import Listing
    from techsapo_ops.schedule.status import JobStatus
    from techsapo_ops.stack.observed import Observed
    from techsapo_ops.stack.stack import Stack


def value(found: StackStatus, stack: Stack) -> dict[str, Any]:
    """The same with stable keys; a part that could not be read is null, and `unread` says why."""
    parts: dict[str, tuple[Look[Any], Callable[[Any], Any]]] = {
        "health": (found.health, _health_value),
        "services": (found.services, lambda seen: _services_value(seen, found.at)),
        "alerts": (found.alerts, _alerts_value),
        "backups": (found.backups, _backups_value),
        "certificates": (found.certificates, lambda every: [_certificate_value(each) for each in every]),
        "budget": (found.budget, _budget_value),
        "jobs": (found.jobs, lambda every: [_job_value(each) for each in every]),
        "drift": (found.drift, _drift_value),
        "versions": (found.versions, _versions_value),
    }
    if found.front is not None:
        parts["front"] = (found.front, list)
    unread = {name: look.why for name, (look, _) in parts.items() if look.told is None}
    if (listing := found.alerts.told) is not None and listing.trouble:
        unread["alerts"] = listing.trouble
    return {
        "project": stack.spec.project,
        "engine": stack.topology.engine,
        "status": found.status.value,
        "at": found.at.isoformat(timespec="seconds"),
        "seconds": round(found.seconds, 3),
        "maintenance": None if found.maintenance is None else found.maintenance.to_json(),
        **{name: None if name in unread else show(look.told) for name, (look, show) in parts.items()},
        "unread": unread,
        **({"unreachable": away_json(found.unreachable)} if found.unreachable else {}),
    }


def _health_value(report: HealthReport) -> dict[str, Any]:
    return {
        "status": report.status.value,
        "failing": [
            {"name": p.name, "kind": p.kind, "status": p.status.value, "detail": p.detail, "hint": p.hint}
            for p in report.failing
        ],
    }


def _services_value(observed: Observed, now: datetime) -> list[dict[str, Any]]:
    return [service_json(s, now, observed.stopped) for s in observed.services.values()]


def _alerts_value(listing: Listing) -> dict[str, Any]:
    return {
        "untold": listing.untold or None,
        "alerts": [
            {
                "name": f.alert.name,
                "severity": f.alert.severity,
                "state": f.state,
                "since": _iso(f.since),
                "summary": f.summary,
                "labels": dict(f.labels),
                "acknowledged_by": f.acknowledged.by if f.acknowledged is not None else None,
            }
            for f in listing.alerts
            if f.since is not None and f.alert.name != WATCHDOG
        ],
    }


def _backups_value(backups: Backups) -> dict[str, Any]:
    proved = backups.proved
    return {
        "count": backups.count,
        "newest": backups.newest,
        "newest_begun": _iso(backups.newest_begun),
        "proved": None
        if proved is None
        else {"id": proved.id, "begun": _iso(proved.begun), "at": _iso(proved.at), "where": proved.where},
        "failed": list(backups.failed),
        "shrunk": [{"backup": name, **asdict(shrink)} for name, shrink in backups.shrunk],
    }


def _certificate_value(each: CertificateStatus) -> dict[str, Any]:
    return {
        "name": each.name,
        "days_left": each.days_left,
        "renews_at": _iso(each.renews_at),
        "attention": list(each.attention),
    }


def _budget_value(spent: Spent) -> dict[str, Any]:
    return {
        "day_usd": round(spent.day_usd, 9),
        "day_limit_usd": spent.daily_usd,
        "month_usd": round(spent.month_usd, 9),
        "month_limit_usd": spent.monthly_usd,
        "rows_lost": spent.rows_lost,
    }


def _job_value(each: JobStatus) -> dict[str, Any]:
    last = each.last
    return {
        "name": each.job.name,
        "next": _iso(each.next),
        "last": _iso(last.started) if last is not None else None,
        "result": last.result if last is not None else None,
        "error": last.error if last is not None else None,
        "missed": _iso(each.missed),
    }


def _drift_value(report: DriftReport) -> dict[str, Any]:
    return {
        "against": report.against.id,
        "findings": [{"kind": f.kind, "name": f.name, "what": f.what} for f in report.findings],
    }


def _versions_value(versions: Versions) -> dict[str, Any]:
    return {
        "build": versions.build,
        "python": versions.python,
        "other_builds": list(versions.others),
        "apply": versions.apply,
        "applied": _iso(versions.applied),
        "applied_by": versions.applied_by or None,
    }


def _iso(when: datetime | None) -> str | None:
    return when.isoformat(timespec="seconds") if when is not None else None
