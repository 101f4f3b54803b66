"""The jobs of one stack: what is offered, when each is due, and how it went last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo

from techsapo_ops.catalogue.jobs import jobs
from techsapo_ops.messages import msg
from techsapo_ops.schedule.cron import next_run
from techsapo_ops.schedule.job import Job, configured
from techsapo_ops.schedule.runs import Run, Runs
from techsapo_ops.spec.models.data import Schedule
from techsapo_ops.spec.problems import unknown


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How one job is: when it comes next, its last run and its last success."""

    job: Job
    next: datetime | None
    last: Run | None
    last_success: Run | None


def configured_jobs(schedule: Schedule) -> Mapping[str, Job]:
    """Every job that is offered, by name, as the spec has it."""
    times = schedule.times()
    settings = {str(name): changes for name, changes in schedule.jobs.items()}
    return {name: configured(facts, times.get(name), settings.get(name)) for name, facts in jobs().items()}


def find_job(schedule: Schedule, name: str) -> Job:
    """The job of that name. Raises OpsError (exit code 2) for one that is not offered."""
    offered = configured_jobs(schedule)
    if name not in offered:
        raise unknown(msg("job"), name, offered)
    return offered[name]


def job_statuses(schedule: Schedule, runs: Runs, now: datetime, zone: tzinfo) -> tuple[JobStatus, ...]:
    """Each job with its next and last runs; nothing is due next where nobody starts jobs."""
    found = []
    for job in configured_jobs(schedule).values():
        at = None if schedule.by == "none" else job.at
        upcoming = None if at is None else next_run(at, now, zone)
        last = runs.last(job.name)
        wake = runs.wake_at(job.name) if upcoming is not None and schedule.by == "service" else None
        if upcoming is not None and wake is not None and (last is None or wake > last.started):
            upcoming = min(upcoming, max(wake, now))
        found.append(JobStatus(job, upcoming, last, runs.last_success(job.name)))
    return tuple(found)
