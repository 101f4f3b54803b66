"""The jobs of one stack: what is offered, when each is due, and how it went last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

from techsapo_ops.adapters.textfile import read_textfile
from techsapo_ops.catalogue.jobs import jobs
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.job import Job, configured
from techsapo_ops.jobs.runs import Run, Runs
from techsapo_ops.messages import msg
from techsapo_ops.spec.cron import next_run
from techsapo_ops.spec.models.upkeep import Schedule
from techsapo_ops.spec.problems import unknown

MISSED_SECONDS = 300.0
"""Seconds after its time at which a run that has not begun was missed."""
NEXT_RUN = "techsapo_job_next_run_timestamp_seconds"


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How one job is: when it comes next, its last run and its last success."""

    job: Job
    next: datetime | None
    last: Run | None
    last_success: Run | None
    missed: datetime | None = None
    """The time for which no run has begun, where one has passed by more than MISSED_SECONDS."""


def configured_jobs(schedule: Schedule) -> Mapping[str, Job]:
    """Every job that is offered, by name, as the spec has it."""
    times = schedule.times()
    limits = {str(name): timeout for name, timeout in schedule.timeouts.items()}
    return {name: configured(facts, times.get(name), limits.get(name)) for name, facts in jobs().items()}


def find_job(schedule: Schedule, name: str) -> Job:
    """The job of that name. Raises OpsError (exit code 2) for one that is not offered."""
    offered = configured_jobs(schedule)
    if name not in offered:
        raise unknown(msg("job"), name, offered)
    return offered[name]


def job_statuses(
    schedule: Schedule, runs: Runs, textfiles: Path, now: datetime, zone: tzinfo
) -> tuple[JobStatus, ...]:
    """Each job with its next and last runs, and the one that it missed; none is due where nobody starts jobs.

    `textfiles` is the folder of the jobs' metrics. Raises OpsError when the runs can't be read.
    """
    found = []
    for job in configured_jobs(schedule).values():
        at = None if schedule.by == "none" else job.at
        upcoming = None if at is None else next_run(at, now, zone)
        last = runs.last(job.name)
        missed = None if at is None else _missed(job, last, textfiles, now, zone)
        found.append(JobStatus(job, upcoming, last, runs.last_success(job.name), missed))
    return tuple(found)


def _missed(job: Job, last: Run | None, textfiles: Path, now: datetime, zone: tzinfo) -> datetime | None:
    """The time at which `job` was expected and no run began, whoever starts them.

    It is what the schedule said at its last run, or when it was handed over: a schedule that was changed
    since asks for nothing in the past.
    """
    expected = _announced(textfiles, job.name, zone)
    if job.at is not None and last is not None and (expected is None or last.started >= expected):
        expected = next_run(job.at, last.started, zone)
    late = now - timedelta(seconds=MISSED_SECONDS)
    return expected if expected is not None and expected < late else None


def _announced(textfiles: Path, name: str, zone: tzinfo) -> datetime | None:
    try:
        times = [s.value for s in read_textfile(textfiles, name) if s.metric == NEXT_RUN]
    except OpsError:  # damaged, or not this user's to read: the ledger tells as well
        return None
    return datetime.fromtimestamp(times[0], zone) if times else None
