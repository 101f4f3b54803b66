"""Hands the schedule of a stack to the host's cron: a block in a crontab."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from techsapo_ops.adapters.crontab import Crontab
from techsapo_ops.messages import msg
from techsapo_ops.schedule.crontab import Line, crontab_block, find_block, jobs_in, replace_block
from techsapo_ops.schedule.job import Job, JobResult
from techsapo_ops.schedule.status import configured_jobs
from techsapo_ops.schedule.wrapper import RunContext, export
from techsapo_ops.spec.models.data import Schedule

NOBODY = msg(
    "nobody starts the jobs, so nothing is backed up: `techsapo cron install` with `schedule.by: cron` "
    "(docs/jobs.md)"
)
NOBODY_ON_SEVERAL = msg(
    "nobody starts the jobs, so nothing is backed up: `schedule.by: cron`, and `techsapo cron install` on "
    "each host that has techsapo, two at least (docs/jobs.md)"
)

State = Literal["installed", "absent", "outdated", "partial"]
"""`partial`: some of the jobs, each as the spec says."""
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
        before = self.crontab.read()
        there = jobs_in(find_block(before, self.spec_file))
        wanted = self._block(None if only is None else only | there)
        after = replace_block(before, self.spec_file, wanted)
        if after != before:
            self.crontab.write(after)
        return after != before

    def remove(self) -> bool:
        """Take the block away; False where there was none."""
        before = self.crontab.read()
        after = replace_block(before, self.spec_file, b"")
        if after != before:
            self.crontab.write(after)
        return after != before

    def state(self) -> State:
        """What is there now, compared with the spec."""
        block = find_block(self.crontab.read(), self.spec_file)
        states: dict[bytes, State] = {
            self._block(jobs_in(block)): "partial",
            self._block(): "installed",
            b"": "absent",
        }
        return states.get(block, "outdated")

    def _block(self, only: frozenset[str] | None = None) -> bytes:
        chosen = [job for job in self.jobs if only is None or job.name in only]
        lines = [Line(job.name, job.at or "", self.argv(job.name)) for job in chosen]
        return crontab_block(self.spec_file, lines, self.environment)
