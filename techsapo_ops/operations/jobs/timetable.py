"""Hands the schedule of a stack to the host: a block in a crontab, or timers of systemd."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

from typing_extensions import override

from techsapo_ops.adapters.crontab import Crontab
from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.systemd import Units
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.render.templates import Templates
from techsapo_ops.render.timers import TimedJob, timer_files, unit_prefix
from techsapo_ops.schedule.crontab import Line, crontab_block, find_block, jobs_in, replace_block
from techsapo_ops.schedule.job import Job, JobResult
from techsapo_ops.schedule.status import configured_jobs
from techsapo_ops.schedule.wrapper import RunContext, export
from techsapo_ops.spec.models.data import Schedule
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.topology import Topology

NOBODY = msg(
    "nobody starts the jobs, so nothing is backed up: `techsapo cron install` with "
    "`schedule.by: cron`, or give a scheduler in a container the Docker socket with "
    "`schedule.docker_socket` (docs/jobs.md)"
)
NOBODY_ON_SEVERAL = msg(
    "nobody starts the jobs, so nothing is backed up: `schedule.by: cron`, and `techsapo cron install` on "
    "each host that has techsapo, two at least (docs/jobs.md)"
)

State = Literal["installed", "absent", "outdated", "partial"]
"""`partial`: some of the jobs, each as the spec says."""
Argv = Callable[[str], Sequence[str]]
"""The command that runs the job of that name."""


@dataclass(frozen=True, slots=True)
class Installed:
    """What of the schedule a host has: `where`, its text, and whether it is what the spec says."""

    where: str
    state: State
    text: str


class Table(Protocol):
    """One way in which a host is told when jobs run."""

    def install(self) -> bool:
        """Make it as the spec says; False where it was so already."""
        ...

    def remove(self) -> bool:
        """Take it away; False where there was none."""
        ...

    def show(self) -> Installed:
        """What is there now."""
        ...


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
class CronTable(Table):
    """The stack's block in a crontab."""

    crontab: Crontab
    spec_file: Path
    jobs: tuple[Job, ...]
    argv: Argv
    environment: Mapping[str, str]

    @override
    def install(self, only: frozenset[str] | None = None) -> bool:
        """Write the block; `only` these jobs, beside those that are there already.

        Everything else in the crontab stays byte for byte.
        """
        before = self.crontab.read()
        there = jobs_in(find_block(before, self.spec_file))
        wanted = self._block(None if only is None else only | there)
        after = replace_block(before, self.spec_file, wanted)
        if after != before:
            self.crontab.write(after)
        return after != before

    @override
    def remove(self) -> bool:
        before = self.crontab.read()
        after = replace_block(before, self.spec_file, b"")
        if after != before:
            self.crontab.write(after)
        return after != before

    @override
    def show(self) -> Installed:
        block = find_block(self.crontab.read(), self.spec_file)
        states: dict[bytes, State] = {
            self._block(jobs_in(block)): "partial",
            self._block(): "installed",
            b"": "absent",
        }
        state = states.get(block, "outdated")
        user = self.crontab.user
        where = msg("the crontab") if user is None else msg("the crontab of {user}", user=user)
        return Installed(where, state, block.decode(errors="replace"))

    def _block(self, only: frozenset[str] | None = None) -> bytes:
        chosen = [job for job in self.jobs if only is None or job.name in only]
        lines = [Line(job.name, job.at or "", self.argv(job.name)) for job in chosen]
        return crontab_block(self.spec_file, lines, self.environment)


@dataclass(frozen=True, slots=True)
class TimerTable(Table):
    """The stack's services and timers in `folder`."""

    units: Units
    folder: Path
    prefix: str
    files: tuple[RenderedFile, ...]

    @override
    def install(self) -> bool:
        """Write and enable them; timers start at once where systemd runs, else with the next boot."""
        wanted = {file.path: file.content for file in self.files}
        before = self._there()
        if before == wanted:
            return False
        self._forget(sorted(before.keys() - wanted.keys()))
        for name, content in wanted.items():
            write_atomic(self.folder / name, content.encode(), 0o644)
        self.units.enable(name for name in wanted if name.endswith(".timer"))
        return True

    @override
    def remove(self) -> bool:
        there = sorted(self._there())
        self._forget(there)
        return bool(there)

    @override
    def show(self) -> Installed:
        there = self._there()
        wanted = {file.path: file.content for file in self.files}
        state: State = "absent" if not there else "installed" if there == wanted else "outdated"
        text = "".join(f"# {self.folder / name}\n{content}\n" for name, content in sorted(there.items()))
        return Installed(str(self.folder), state, text)

    def _forget(self, names: Sequence[str]) -> None:
        timers = [name for name in names if name.endswith(".timer")]
        self.units.disable(timers, now=True)
        for name in names:
            (self.folder / name).unlink(missing_ok=True)

    def _there(self) -> dict[str, str]:
        try:
            found = [p for p in self.folder.glob(f"{self.prefix}*") if p.suffix in {".service", ".timer"}]
            return {path.name: path.read_text(encoding="utf-8") for path in sorted(found)}
        except OSError as error:
            raise OpsError(
                msg("cannot read {folder}: {strerror}", folder=self.folder, strerror=error.strerror),
                msg("run as root"),
            ) from None


def timer_table(topology: Topology, units: Units, folder: Path, argv: Argv, path: str) -> TimerTable:
    """The timers that the spec asks for. Raises OpsError for a schedule that systemd can't be told."""
    spec = topology.spec
    jobs = [
        TimedJob(job.name, job.at or "", tuple(argv(job.name)), job.time_limit)
        for job in scheduled(spec.schedule)
    ]
    files = timer_files(topology, Templates(None), jobs, path)
    return TimerTable(units, folder, unit_prefix(spec), files)
