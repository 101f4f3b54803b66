"""The job `drill_alert`; a restore is tried each day by the job `verify`."""

from __future__ import annotations

from datetime import UTC, datetime

from techsapo_ops.drills.alerting import drill_alert
from techsapo_ops.drills.report import perform
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.context import JobContext
from techsapo_ops.jobs.job import JobResult
from techsapo_ops.messages import joined, msg


def run(context: JobContext) -> JobResult:
    """Let the alert of a drill fire, and time it. Raises OpsError where it is late or does not arrive."""
    stack, now = context.stack(), datetime.now(UTC)
    report, file = perform(
        stack, "alert", {"by": "job"},
        lambda begin: drill_alert(stack, begin, now=now, say=context.tell), warn=context.tell,
    )  # fmt: skip
    for phase in report.phases:
        took = "-" if phase.seconds is None else f"{phase.seconds:.1f} s"
        context.tell(f"{phase.name} {took} (objective {phase.objective:g} s)")
    for line in (*report.problems, *report.notes):
        context.tell(line)
    if not report.ok:
        raise OpsError(
            msg("the drill missed: {missed}", missed=joined("; ", report.missed)),
            msg("{file} says more", file=file),
        )
    return JobResult(msg("{id}: met", id=report.id))
