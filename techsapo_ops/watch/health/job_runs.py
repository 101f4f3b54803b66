"""Whether the jobs run when they are due, where the host starts them and not the stack's own scheduler."""

from __future__ import annotations

from datetime import datetime

from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.runs import Runs
from techsapo_ops.jobs.status import JobStatus, job_statuses
from techsapo_ops.messages import joined, msg
from techsapo_ops.spec.cron import local_zone
from techsapo_ops.stack.health import HealthPart, PartStatus
from techsapo_ops.stack.layout import SCHEDULER
from techsapo_ops.stack.topology import Topology


def jobs_part(topology: Topology, now: datetime) -> tuple[HealthPart, ...]:
    """What the ledger tells of whoever starts the jobs: a run that was missed is a fault.

    Nothing where the scheduler is one of the services, which has a heartbeat, and where nobody is to start
    any. Raises nothing for what it finds.
    """
    schedule, layout = topology.spec.schedule, topology.layout
    if schedule.by == "none" or topology.has(SCHEDULER):
        return ()
    try:
        zone = local_zone()
        found = job_statuses(schedule, Runs(layout.jobs), layout.textfiles, now.astimezone(zone), zone)
    except OpsError as error:
        return (HealthPart("jobs", "jobs", PartStatus.UNTESTED, error.message),)
    hint = "`techsapo cron install`" if schedule.by == "cron" else "`techsapo jobs`"
    if missed := [status for status in found if status.missed is not None]:
        return (HealthPart("jobs", "jobs", PartStatus.DEGRADED, _words(missed), hint=hint),)
    if not any(status.last for status in found):
        return (HealthPart("jobs", "jobs", PartStatus.UNTESTED, msg("none has run yet"), hint=hint),)
    return (HealthPart("jobs", "jobs", PartStatus.HEALTHY, msg("each began when it was due")),)


def _words(missed: list[JobStatus]) -> str:
    return joined(
        ", ",
        (
            msg(
                "{name} was due {time:%Y-%m-%d %H:%M} and did not begin",
                name=status.job.name, time=status.missed,
            )
            for status in missed
        ),
    )  # fmt: skip
