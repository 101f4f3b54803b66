"""`techsapo status --json`: stable keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from techsapo_ops.adapters.unreachable import away_json
from techsapo_ops.catalogue.alerts import WATCHDOG
from techsapo_ops.cli.output import document
from techsapo_ops.cli.watch.services_view import service_json

if TYPE_CHECKING:
    from techsapo_ops.apply.drift import DriftReport
    from techsapo_ops.stack.stack import Stack
    from techsapo_ops.watch.alerts.firing import Listing
    from techsapo_ops.watch.health.report import HealthReport
    from techsapo_ops.watch.status.status import Look, StackStatus

_AS_THEY_ARE = ("backups", "certificates", "budget", "versions")


def value(found: StackStatus, stack: Stack) -> dict[str, Any]:
    """The same with stable keys; a part that could not be read is null, and `unread` says why."""
    parts: dict[str, tuple[Look[Any], Callable[[Any], Any]]] = {
        "health": (found.health, _health),
        "services": (
            found.services,
            lambda seen: [service_json(s, found.at, seen.stopped) for s in seen.services.values()],
        ),
        "alerts": (found.alerts, _alerts),
        "jobs": (found.jobs, lambda every: [{"name": j.job.name, **document(j, "job")} for j in every]),
        "drift": (found.drift, _drift),
        **{name: (getattr(found, name), lambda told: told) for name in _AS_THEY_ARE},
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


def _health(report: HealthReport) -> dict[str, Any]:
    failing = [document(part, "vital", "outdated", "away", "sole") for part in report.failing]
    return {"status": report.status, "failing": failing}


def _alerts(listing: Listing) -> dict[str, Any]:
    return {
        "untold": listing.untold or None,
        "alerts": [
            {
                "name": f.alert.name,
                "severity": f.alert.severity,
                "state": f.state,
                "since": f.since,
                "summary": f.summary,
                "labels": f.labels,
                "acknowledged_by": f.acknowledged.by if f.acknowledged is not None else None,
            }
            for f in listing.alerts
            if f.since is not None and f.alert.name != WATCHDOG
        ],
    }


def _drift(report: DriftReport) -> dict[str, Any]:
    return {"against": report.against.id, "findings": report.findings}
