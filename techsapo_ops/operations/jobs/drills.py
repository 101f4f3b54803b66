"""The jobs `drill_restore` and `drill_alert`; the operations themselves tell Prometheus of them."""

from __future__ import annotations

from datetime import UTC, datetime

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.operations.drills.alerting import drill_alert
from techsapo_ops.operations.drills.report import Drill, Report
from techsapo_ops.operations.drills.restoring import drill_restore
from techsapo_ops.operations.drills.run import Work, perform
from techsapo_ops.operations.jobs import JobContext
from techsapo_ops.schedule.job import JobResult

_WAIT = 600.0
"""Seconds to wait for another that is at work on the backups."""


def restore(context: JobContext) -> JobResult:
    """Restore the newest backup on trial. Raises OpsError where the objective is missed."""
    stack = context.stack()
    now = datetime.now(UTC)
    return _done(context, "restore", lambda begin: drill_restore(stack, begin, now=now, wait=_WAIT))


def alert(context: JobContext) -> JobResult:
    """Let the alert of a drill fire, and time it. Raises OpsError where it is late or does not arrive."""
    stack = context.stack()
    now = datetime.now(UTC)
    return _done(context, "alert", lambda begin: drill_alert(stack, begin, now=now, say=context.tell))


def _done(context: JobContext, drill: Drill, work: Work) -> JobResult:
    report, file = perform(context.stack(), drill, {"by": "job"}, work, warn=context.tell)
    for line in _lines(report):
        context.tell(line)
    if not report.ok:
        raise OpsError(
            msg("the drill missed: {missed}", missed=joined("; ", report.missed)),
            msg("{file} says more", file=file),
        )
    return JobResult(msg("{id}: met", id=report.id))


def _lines(report: Report) -> list[str]:
    phases = [
        f"{p.name} {'-' if p.seconds is None else f'{p.seconds:.1f} s'}"
        + (f" (objective {p.objective:g} s)" if p.objective is not None else "")
        for p in report.phases
    ]
    return [*phases, *report.problems, *report.notes]
