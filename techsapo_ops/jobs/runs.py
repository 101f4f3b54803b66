"""The ledger of runs: what ran when, by whom, and how it ended; and by it how each job of a stack is.

    <state>/jobs/backup/lock          held while a run is under way
    <state>/jobs/backup/000007.json   one run; written when it begins and again when it ends
    <state>/jobs/backup/000007.log    what it printed

A run that was killed can't write its end: its record says `running`, and nobody holds the lock.
"""

from __future__ import annotations

import json
import os
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import IO, Any, Literal

from techsapo_ops.adapters.folders import open_file, read_error
from techsapo_ops.adapters.json_files import write_json
from techsapo_ops.adapters.lock import held
from techsapo_ops.adapters.textfile import read_textfile
from techsapo_ops.catalogue.jobs import jobs
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.job import KILLED, Job, configured
from techsapo_ops.messages import msg
from techsapo_ops.spec.cron import next_run
from techsapo_ops.spec.models.upkeep import Schedule
from techsapo_ops.spec.problems import unknown

MAX_RUNS = 100
"""Runs of a job that the ledger holds, besides its last success."""
LOG_LIMIT = 10 * 1024 * 1024
"""Bytes of one run's log; what comes after is counted and left out."""
TAIL = 20
"""Lines of a log that its run hands back."""
Result = Literal["running", "ok", "failed", "timeout", "interrupted", "killed"]
Starter = Literal["hand", "service", "cron"]
_ENTRY = re.compile(r"\d{6,}\.json")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job. Times are aware; `seconds` is by the monotonic clock, None while it runs.

    `error` says why the last try failed.
    """

    id: int
    job: str
    started: datetime
    by: Starter
    user: str
    pid: int
    version: str
    result: Result = "running"
    exit_code: int | None = None
    seconds: float | None = None
    tries: int = 0
    summary: str = ""
    error: str = ""
    host: str = ""
    """On several hosts the one that it ran on."""

    @property
    def ok(self) -> bool:
        """Whether it ended well."""
        return self.result == "ok"


class Runs:
    """The ledger below `folder`; see the module for its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def lock(self, job: str) -> Path:
        """The job's lock file."""
        return self.folder / job / "lock"

    def log(self, run: Run) -> Path:
        """What `run` printed."""
        return self.folder / run.job / f"{run.id:06d}.log"

    def of(self, job: str) -> tuple[Run, ...]:
        """All runs of `job`, oldest first; one that was killed says so. Damaged records are passed over.

        Raises OpsError when they can't be read.
        """
        runs = [run for path in self._paths(job) if (run := _read(path)) is not None]
        if any(run.result == "running" for run in runs) and not held(self.lock(job)):
            # Read again: it may have ended between the two looks.
            runs = [run for path in self._paths(job) if (run := _read(path)) is not None]
            return tuple(_killed(run) if run.result == "running" else run for run in runs)
        return tuple(runs)

    def last(self, job: str) -> Run | None:
        """The newest run of `job`."""
        return next(iter(reversed(self.of(job))), None)

    def last_success(self, job: str) -> Run | None:
        """The newest run of `job` that ended well."""
        return next((run for run in reversed(self.of(job)) if run.ok), None)

    def next_id(self, job: str) -> int:
        """The number of the next run; the order of numbers holds whatever the clock does."""
        return max((int(path.stem) for path in self._paths(job)), default=0) + 1

    def write(self, run: Run) -> None:
        """Write the record of `run`. Raises OpsError when it can't be; the old one then stays."""
        data = {**asdict(run), "started": run.started.isoformat()}
        write_json(self.folder / run.job / f"{run.id:06d}.json", data, 0o644)

    def record_killed(self, job: str) -> tuple[Run, ...]:
        """Write down which runs were killed, and forget the oldest; call it holding the lock."""
        killed = []
        for path in self._paths(job):
            run = _read(path)
            if run is not None and run.result == "running":
                killed.append(_killed(run))
                self.write(killed[-1])
        self._prune(job)
        return tuple(killed)

    def _prune(self, job: str) -> None:
        paths = self._paths(job)
        success = self.last_success(job)
        for path in paths[: -(MAX_RUNS - 1)]:
            if success is None or int(path.stem) != success.id:
                path.with_suffix(".log").unlink(missing_ok=True)
                path.unlink(missing_ok=True)

    def _paths(self, job: str) -> list[Path]:
        folder = self.folder / job
        try:
            paths = [p for p in folder.iterdir() if _ENTRY.fullmatch(p.name)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise OpsError(
                msg(
                    "cannot read the records of runs in {folder}: {strerror}",
                    folder=folder,
                    strerror=error.strerror,
                ),
                msg("run this command as the user who runs the jobs"),
            ) from None
        return sorted(paths, key=lambda p: int(p.stem))


def _killed(run: Run) -> Run:
    return replace(
        run,
        result="killed",
        exit_code=KILLED,
        error=msg("the run was killed before it finished, or the host went down"),
    )


def _read(path: Path) -> Run | None:
    try:
        value: dict[str, Any] = json.loads(path.read_bytes())
        return Run(**{**value, "started": datetime.fromisoformat(value["started"])})
    except FileNotFoundError:  # forgotten meanwhile, as one of the oldest
        return None
    except OSError as error:
        raise read_error(path, error, msg("run this command as the user who runs the jobs")) from None
    except (ValueError, KeyError, TypeError):
        return None


@dataclass(slots=True)
class RunLog:
    """Takes lines for the file `path`; the last ones stay in `tail`.

    A full disk must not end a job: what can't be written goes to `say` instead, with the reason first.
    """

    path: Path
    now: Callable[[], datetime]
    say: Callable[[str], None]
    echo: Callable[[str], None]
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL))
    _file: IO[bytes] | None = None
    _written: int = 0
    _left_out: int = 0
    _broken: bool = False

    def line(self, text: str) -> None:
        """Add one line."""
        self.tail.append(text)
        self.echo(text)
        data = f"{self.now():%Y-%m-%d %H:%M:%S} {text}\n".encode(errors="replace")
        if self._broken:
            self.say(text)
            return
        if self._written + len(data) > LOG_LIMIT:
            self._left_out += 1
            return
        try:
            if self._file is None:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
                self._file = os.fdopen(open_file(self.path, flags), "ab", buffering=0)
            self._file.write(data)
            self._written += len(data)
        except (OSError, OpsError) as error:
            self._broken = True
            why = error.message if isinstance(error, OpsError) else error.strerror
            self.say(msg("cannot write the log {path}: {why}", path=self.path, why=why))
            self.say(text)

    def close(self) -> None:
        """Say what was left out, and close the file."""
        if self._left_out:
            left_out, self._left_out, self._written = self._left_out, 0, 0
            self.line(
                msg(
                    "{left_out} more lines were left out: the log of a run is limited to {limit} MiB",
                    left_out=left_out,
                    limit=LOG_LIMIT // 1024**2,
                )
            )
        if self._file is not None:
            self._file.close()
            self._file = None


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
    statuses = []
    for job in configured_jobs(schedule).values():
        at = None if schedule.by == "none" else job.at
        upcoming = None if at is None else next_run(at, now, zone)
        last = runs.last(job.name)
        missed = None if at is None else _missed(job, last, textfiles, now, zone)
        statuses.append(JobStatus(job, upcoming, last, runs.last_success(job.name), missed))
    return tuple(statuses)


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
