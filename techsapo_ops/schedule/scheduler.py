"""The stack's own scheduler: starts each job's run when its time comes, in a process of its own."""

from __future__ import annotations

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.schedule.job import Job, JobResult
from techsapo_ops.schedule.wrapper import RunContext, due_now, export
from techsapo_ops.spec.cron import trigger

_log = logging.getLogger(__name__)

CLOCK_JUMP_SECONDS = 5.0
"""By how much the wall clock may run ahead of or behind the monotonic one between two looks."""
LOOK_SECONDS = 15.0
_LATE_SECONDS = 60.0
"""Seconds after its time at which a run that nobody has started tells that the planning thread hangs."""
_STOP_SECONDS = 15.0
_MOST_AT_ONCE = 16

Start = Callable[[str], Sequence[str]]
"""The command that runs the job of that name; it runs nothing where the job is not due."""


class JobScheduler:
    """Starts runs at the times of their cron expressions, in `zone`.

    A job whose run is still under way is not started a second time, and times that were missed (the machine
    slept, the process was stopped) become one run. APScheduler counts on the wall clock but sleeps by the
    monotonic one, so that a clock that is set back would silence every job for as long; `look` notices the
    jump and plans anew.
    """

    def __init__(
        self,
        jobs: Mapping[str, Job],
        zone: tzinfo,
        command: Start,
        ended: Callable[[str, int], None],
        *,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.jobs = _timed(jobs)
        self._zone = zone
        self._command = command
        self._ended = ended
        self._wall, self._steady = wall, steady
        self._offset = wall() - steady()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._guard = threading.Lock()
        self._stopping = False
        self._scheduler = BackgroundScheduler(
            timezone=zone,
            executors={"default": ThreadPoolExecutor(_MOST_AT_ONCE)},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def start(self, overdue: Sequence[str] = ()) -> None:
        """Begin; `overdue` names jobs that missed a time while nothing ran here, and start now."""
        self._plan(overdue)
        self._scheduler.start()

    def look(self) -> bool:
        """Plan anew where the clock was set; call it every LOOK_SECONDS. Returns whether it was."""
        jump = self._wall() - self._steady() - self._offset
        self._offset += jump
        if abs(jump) < CLOCK_JUMP_SECONDS:
            return False
        _log.warning("the clock was set %s by %.0f s", "forward" if jump > 0 else "back", abs(jump))
        # Each asks the ledger whether it is due: what the jump passed over runs once, the rest does nothing.
        self._plan(list(self.jobs) if jump > 0 else ())
        return True

    def change(self, jobs: Mapping[str, Job]) -> None:
        """Go on with `jobs` in place of those so far; runs under way go on."""
        self.jobs = _timed(jobs)
        for found in self._scheduler.get_jobs():
            if found.id not in self.jobs:
                self._scheduler.remove_job(found.id)
        self._plan(())

    def next_runs(self) -> dict[str, datetime | None]:
        """When each job is started next."""
        return {planned.id: planned.next_run_time for planned in self._scheduler.get_jobs()}

    def keeps_time(self) -> bool:
        """Whether every run that is due was started: the thread that plans them works."""
        late = datetime.now(UTC) - timedelta(seconds=_LATE_SECONDS)
        return all(at is None or at > late for at in self.next_runs().values())

    def stop(self) -> None:
        """End; runs under way are told to end, and clean up."""
        with self._guard:
            self._stopping = True
            running = list(self._running.values())
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)

    def _plan(self, now: Sequence[str]) -> None:
        for name, job in self.jobs.items():
            assert job.at is not None  # noqa: S101 - the others were left out
            first = {"next_run_time": datetime.now(UTC)} if name in now else {}
            self._scheduler.add_job(
                self._run, trigger(job.at, self._zone), [name], id=name, replace_existing=True, **first
            )

    def _run(self, name: str) -> None:
        with self._guard:
            if self._stopping or name in self._running:
                return
            process = subprocess.Popen(self._command(name), stdin=subprocess.DEVNULL)
            self._running[name] = process
        try:
            code = process.wait()
        finally:
            with self._guard:
                del self._running[name]
        self._ended(name, code)


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


def _timed(jobs: Mapping[str, Job]) -> dict[str, Job]:
    return {name: job for name, job in jobs.items() if job.at is not None}
