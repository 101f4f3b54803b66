"""Who starts the jobs: hands the schedule to the host's cron, and sees whether anybody has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from techsapo_ops.adapters.process import Runner
from techsapo_ops.adapters.units import Crontab
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.crontab import Line, crontab_block, find_block, jobs_in, replace_block
from techsapo_ops.jobs.job import Job, JobResult
from techsapo_ops.jobs.runs import Runs
from techsapo_ops.jobs.status import configured_jobs
from techsapo_ops.jobs.wrapper import RunContext, export
from techsapo_ops.messages import msg
from techsapo_ops.services.scheduler.kind import nobody_starts_jobs
from techsapo_ops.spec import PRODUCTION
from techsapo_ops.spec.models.upkeep import Schedule
from techsapo_ops.stack.health import HostFinding, Level
from techsapo_ops.stack.topology import Topology

NOBODY = msg(
    "nobody starts the jobs, so nothing is backed up: `techsapo cron install` with `schedule.by: cron`, of "
    "several hosts on two at least (docs/jobs.md)"
)
_LONGEST_PAUSE = timedelta(days=2)
"""Every stack has jobs that come daily: whoever started none for so long, does not any more."""

Argv = Callable[[str], Sequence[str]]
"""The command that runs the job of that name."""


def scheduled(schedule: Schedule) -> tuple[Job, ...]:
    """The jobs that have a time, in the catalogue's order."""
    return tuple(job for job in configured_jobs(schedule).values() if job.at is not None)


def announce(schedule: Schedule, context: RunContext) -> None:
    """Write when each job is due next, so that a job that never runs is missed; others are no longer due.

    Raises OpsError when a textfile can't be written.
    """
    for job in configured_jobs(schedule).values():
        last = context.runs.last(job.name)
        wanted = job if schedule.by != "none" else replace(job, at=None)
        if wanted.at is not None or last is not None:
            export(wanted, last, JobResult(), context)


@dataclass(frozen=True, slots=True)
class CronTable:
    """The stack's block in a crontab."""

    crontab: Crontab
    spec_file: Path
    jobs: tuple[Job, ...]
    argv: Argv
    environment: Mapping[str, str]

    def install(self, only: frozenset[str] | None = None) -> bool:
        """Write the block, False where it was there already; `only` these jobs and those that are in it.

        Everything else in the crontab stays byte for byte.
        """
        there = jobs_in(find_block(self.crontab.read(), self.spec_file))
        return self._put(self._block(None if only is None else only | there))

    def remove(self) -> bool:
        """Take the block away; False where there was none."""
        return self._put(b"")

    def _put(self, block: bytes) -> bool:
        before = self.crontab.read()
        after = replace_block(before, self.spec_file, block)
        if after != before:
            self.crontab.write(after)
        return after != before

    def _block(self, only: frozenset[str] | None = None) -> bytes:
        chosen = [job for job in self.jobs if only is None or job.name in only]
        lines = [Line(job.name, job.at or "", self.argv(job.name)) for job in chosen]
        return crontab_block(self.spec_file, lines, self.environment)


def nobody_starts(topology: Topology, runner: Runner) -> str:
    """In one line that nobody starts the stack's jobs, and what to do; empty where somebody does.

    Somebody does where this user's crontab has the stack's block, or the ledger has a run of late that
    nobody started by hand: another user's crontab.
    """
    if not nobody_starts_jobs(topology) or _ran_of_late(topology) or _in_crontab(topology, runner):
        return ""
    return NOBODY


def look_at_starters(topology: Topology, runner: Runner) -> Iterator[HostFinding]:
    """The same as a finding; in production it is a warning."""
    if line := nobody_starts(topology, runner):
        level = Level.WARNING if topology.layout.environment == PRODUCTION else Level.NOTE
        what, _, remedy = line.partition(": ")
        yield HostFinding("jobs", "schedule", level, what, remedy)


def _ran_of_late(topology: Topology) -> bool:
    runs, since = Runs(topology.layout.jobs), datetime.now(UTC) - _LONGEST_PAUSE
    times = topology.spec.schedule.times()
    try:
        return any(run.by != "hand" and run.started > since for name in times for run in runs.of(name))
    except OpsError:  # who may not read them can't tell
        return True


def _in_crontab(topology: Topology, runner: Runner) -> bool:
    crontab = Crontab(runner, topology.host.binaries.get("crontab"))
    try:
        return bool(find_block(crontab.read(), topology.layout.spec_file))
    except OpsError:  # none that this user may read, so none in which it is
        return False
