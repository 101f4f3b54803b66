"""What is found when a scheduler starts: runs that were killed, and times that passed meanwhile."""

from __future__ import annotations

from collections.abc import Mapping

from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.schedule.job import Job, JobResult
from techsapo_ops.schedule.wrapper import RunContext, due_now, export


def record_killed(job: Job, context: RunContext) -> bool:
    """Write down, in the ledger and in the metrics, that the last run of `job` was killed, if it was.

    What can't be written is said; a run that is under way is left alone.
    """
    if not (context.runs.folder / job.name).is_dir():
        return False
    try:
        with exclusive(context.runs.lock(job.name), what=msg("job {job}", job=job.name)):
            killed = context.runs.record_killed(job.name)
            if killed:
                export(job, killed[-1], JobResult(), context)
            return bool(killed)
    except OpsError as error:
        context.say(str(error))
        return False


def overdue(jobs: Mapping[str, Job], context: RunContext) -> list[str]:
    """The jobs that ran before and have missed a time since. One that never ran waits for its time."""
    found = []
    for name, job in jobs.items():
        last = context.runs.last(name)
        if last is not None and due_now(job, last, context):
            found.append(name)
    return found
