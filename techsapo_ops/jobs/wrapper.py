"""Runs a job: one at a time, under its time limit, tried again where it may be, and written down.

The job itself is another process, so that a hung one can be ended with everything it started, and a crash of
the job is no crash of what writes it down. It hands its result back as JSON: see `encode` and `_decode`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any

from techsapo_ops import __version__
from techsapo_ops.adapters.folders import opened
from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.adapters.process import Command
from techsapo_ops.adapters.supervised import supervise
from techsapo_ops.adapters.textfile import Sample, read_textfile, write_textfile
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.job import INTERRUPTED, OK, TIMED_OUT, Job, JobResult
from techsapo_ops.jobs.runs import NEXT_RUN, Result, Run, RunLog, Runs, Starter
from techsapo_ops.messages import msg
from techsapo_ops.spec.cron import next_run

CLOCK_TOLERANCE = 60.0
"""Seconds by which a run may lie in the future before the clock counts as set back."""
_OWN = "techsapo_job_"
_DETAIL = 500


@dataclass(frozen=True, slots=True)
class RunContext:
    """What runs are made with. `say` gets what must not be lost even where nothing can be written."""

    runs: Runs
    textfiles: Path
    now: Callable[[], datetime]
    zone: tzinfo
    user: str
    pid: int
    say: Callable[[str], None]
    echo: Callable[[str], None] = lambda _: None
    """Gets every line of the log, as it comes."""
    pause: Callable[[float], None] = time.sleep
    host: str = ""
    """On several hosts the name of this one."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a run ended. `recorded` is False where the ledger or the metrics could not be written."""

    run: Run
    tail: tuple[str, ...]
    recorded: bool


def encode(result: JobResult, error: str = "") -> bytes:
    """A job's result as its process hands it back."""
    return json.dumps({**asdict(result), "error": error}, ensure_ascii=False).encode()


def due(job: Job, last: Run | None, context: RunContext) -> bool:
    """Whether the schedule has a time for `job` since its `last` run began.

    So it runs once where cron and the stack's own scheduler both start it, and a run that was missed or
    killed is made up for. A last run in the future means that the clock was set back: it is due then, too.
    """
    if job.at is None:
        return False
    now = context.now()
    if last is None or last.result == "killed" or (last.started - now).total_seconds() > CLOCK_TOLERANCE:
        return True
    upcoming = next_run(job.at, last.started, context.zone)
    return upcoming is not None and upcoming <= now


def run_job(
    job: Job,
    command: Command,
    context: RunContext,
    *,
    by: Starter,
    wait: float = 0.0,
    refusal: OpsError | None = None,
) -> Finished | None:
    """Run `command` as `job` and write down how it went; None where a scheduled run is not due.

    `refusal` is why it can't be run, such as a wrong spec: that, too, is a failed run. Raises OpsError when
    another run holds the lock for longer than `wait` seconds, naming it.
    """
    runs, folder = context.runs, context.runs.folder / job.name
    try:
        with opened(folder, make=0o777):
            pass
    except OSError as error:
        raise OpsError(
            msg("cannot create {folder}: {strerror}", folder=folder, strerror=error.strerror),
            msg("check who owns the folder"),
        ) from None
    with exclusive(runs.lock(job.name), wait=wait, what=msg("job {job}", job=job.name)) as lock:
        recorded = _try_to(context, lambda: runs.record_killed(job.name))
        if by != "hand" and refusal is None and not due(job, runs.last(job.name), context):
            return None
        run = Run(
            runs.next_id(job.name), job.name, context.now(), by, context.user, context.pid, __version__,
            host=context.host,
        )  # fmt: skip
        recorded = _try_to(context, lambda: runs.write(run)) and recorded
        started = time.monotonic()
        log = RunLog(runs.log(run), context.now, context.say, context.echo)
        run, result = _tries(job, command, context, run, log, lock, refusal)
        run = replace(run, seconds=round(time.monotonic() - started, 3))
        log.line(_closing(run))
        log.close()
        recorded = _try_to(context, lambda: runs.write(run)) and recorded
        recorded = _try_to(context, lambda: export(job, run, result, context)) and recorded
        return Finished(run, tuple(log.tail), recorded)


def _tries(
    job: Job,
    command: Command,
    context: RunContext,
    run: Run,
    log: RunLog,
    lock: int,
    refusal: OpsError | None,
) -> tuple[Run, JobResult]:
    if refusal is not None:
        for number, line in enumerate(str(refusal).splitlines()):
            log.line(line if number else msg("the job was not run: {line}", line=line))
        failed = replace(run, result="failed", exit_code=refusal.exit_code or 1, error=str(refusal)[:_DETAIL])
        return failed, JobResult()
    result = JobResult()
    for number, wait in enumerate((*job.waits, None), 1):
        run, result = _try(job, command, replace(run, tries=number), log, lock)
        if run.result in {"ok", "interrupted"} or wait is None:
            break
        log.line(
            msg("attempt {number} failed: {error}; retrying in {waits:g} s",
                number=number, error=run.error, waits=wait)
        )  # fmt: skip
        try:
            context.pause(wait)
        except KeyboardInterrupt:
            return replace(run, result="interrupted", exit_code=INTERRUPTED, error="interrupted"), result
    return run, result


def _try(job: Job, command: Command, run: Run, log: RunLog, lock: int) -> tuple[Run, JobResult]:
    """Run `command` once; `run` with how that went, and what it handed back."""
    try:
        ended = supervise(command, timeout=job.timeout, line=log.line, keep=(lock,))
    except OpsError as refused:
        return replace(run, result="failed", exit_code=1, error=str(refused)[:_DETAIL]), JobResult()
    for name in ended.leftovers:
        log.line(msg("stopped the process {name}, which the job had left running", name=name))
    result, error = _decode(ended.result)
    outcome: Result = "ok" if ended.code == OK else "failed"
    code = ended.code
    if ended.interrupted:
        outcome, code, error = "interrupted", INTERRUPTED, msg("interrupted")
    elif ended.timed_out:
        outcome, code = "timeout", TIMED_OUT
        error = msg("the job did not finish within {timeout:g} s and was stopped", timeout=job.timeout)
    elif ended.code != OK and not error:
        last = log.tail[-1] if log.tail else ""
        error = msg("ended with code {code}", code=ended.code) + (f": {last}" if last else "")
    summary = result.summary[:_DETAIL]
    return replace(run, result=outcome, exit_code=code, summary=summary, error=error[:_DETAIL]), result


def _decode(data: bytes) -> tuple[JobResult, str]:
    """What `encode` made; nothing where the process did not come to that."""
    if not data:
        return JobResult(), ""
    try:
        value: dict[str, Any] = json.loads(data)
        samples = tuple(Sample(**sample) for sample in value["samples"])
        return JobResult(value["summary"], samples, value["exit_code"]), value["error"]
    except (ValueError, KeyError, TypeError) as error:
        return JobResult(), msg("the job's result can't be read: {error}", error=error)


def export(job: Job, run: Run | None, result: JobResult, context: RunContext) -> None:
    """Write the job's textfile: `run` is its last one, None before the first.

    Metrics of the job's own stay as they were where the run did not come to make new ones: a check that
    failed says nothing about what the last one found. Raises OpsError when it can't be written.
    """
    samples = [Sample("techsapo_job_time_limit_seconds", job.time_limit)]
    upcoming = None if job.at is None else next_run(job.at, context.now(), context.zone)
    if upcoming is not None:
        samples.append(Sample(NEXT_RUN, upcoming.timestamp()))
    success = run if run is not None and run.ok else context.runs.last_success(job.name)
    if run is not None:
        samples += [
            Sample("techsapo_job_last_run_timestamp_seconds", run.started.timestamp()),
            Sample("techsapo_job_last_exit_code", run.exit_code or 0),
        ]
        if run.seconds is not None:
            samples.append(Sample("techsapo_job_duration_seconds", run.seconds))
    if success is not None:
        ended = success.started.timestamp() + (success.seconds or 0)
        samples.append(Sample("techsapo_job_last_success_timestamp_seconds", ended))
    earlier: tuple[Sample, ...] = ()
    if not result.samples:
        earlier = tuple(s for s in _before(context, job) if not s.metric.startswith(_OWN))
    write_textfile(context.textfiles, job.name, [*samples, *result.samples, *earlier])


def _before(context: RunContext, job: Job) -> tuple[Sample, ...]:
    try:
        return read_textfile(context.textfiles, job.name)
    except OpsError as error:  # damaged, so there is nothing to keep; it is about to be replaced
        context.say(str(error))
        return ()


def _closing(run: Run) -> str:
    words = run.summary if run.ok else run.error
    return msg("{result} after {seconds:g} s", result=run.result, seconds=run.seconds) + (
        msg(": {words}", words=words) if words else ""
    )


def _try_to(context: RunContext, write: Callable[[], object]) -> bool:
    """Write down what can be; a ledger on a full disk must not keep a backup from being made."""
    try:
        write()
    except OpsError as error:
        context.say(msg("the run can't be recorded: {error}", error=error))
        return False
    return True
