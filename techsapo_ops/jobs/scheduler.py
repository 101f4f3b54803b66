"""The stack's own scheduler: starts each job's run when its time comes, in a process of its own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo

from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.job import Job, JobResult
from techsapo_ops.jobs.wrapper import RunContext, due, export
from techsapo_ops.messages import msg
from techsapo_ops.spec.cron import next_run

LOOK_SECONDS = 15.0
"""Seconds between two looks: a run begins so much later than its time at most."""
_STOP_SECONDS = 15.0

Start = Callable[[str], Sequence[str]]
"""The command that runs the job of that name; it runs nothing where the job is not due."""


class JobScheduler:
    """Starts runs at the times of their cron expressions in `zone`, by the wall clock `now`.

    Who has it looks again and again. A job whose run is still under way is not started a second time, and
    times that were missed (the machine slept, the clock was set forward) become one run.
    """

    def __init__(
        self,
        jobs: Mapping[str, Job],
        zone: tzinfo,
        command: Start,
        ended: Callable[[str, int], None],
        now: Callable[[], datetime],
    ) -> None:
        self._zone = zone
        self._command = command
        self._ended = ended
        self._now = now
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.change(jobs)

    def change(self, jobs: Mapping[str, Job]) -> None:
        """Go on with `jobs` in place of those so far, from their next times on; runs under way go on."""
        self._jobs = {name: job for name, job in jobs.items() if job.at is not None}
        self._looked = self._now()
        self.next_runs = {name: self._after(job) for name, job in self._jobs.items()}
        """When each job is started next; None where its expression names no time."""

    def start(self, name: str) -> None:
        """Start a run of that job now, where none is under way."""
        if name not in self._running:
            self._running[name] = subprocess.Popen(self._command(name), stdin=subprocess.DEVNULL)

    def look(self) -> bool:
        """Start what is due, and take note of runs that have ended; call it every LOOK_SECONDS.

        Returns whether the clock was set back, from where on all times are then counted anew.
        """
        for name, process in list(self._running.items()):
            if (code := process.poll()) is not None:
                del self._running[name]
                self._ended(name, code)
        before, self._looked = self._looked, self._now()
        back = self._looked < before
        for name, job in self._jobs.items():
            at = self.next_runs[name]
            due = at is not None and at <= self._looked
            if due:
                self.start(name)
            if due or back:
                self.next_runs[name] = self._after(job)
        return back

    def stop(self) -> None:
        """Stop; runs in progress get SIGTERM, and clean up."""
        for process in self._running.values():
            process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for name, process in self._running.items():
            try:
                self._ended(name, process.wait(max(0.0, deadline - time.monotonic())))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    def _after(self, job: Job) -> datetime | None:
        return next_run(job.at or "", self._looked, self._zone)


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
    late = []
    for name, job in jobs.items():
        last = context.runs.last(name)
        if last is not None and due(job, last, context):
            late.append(name)
    return late
