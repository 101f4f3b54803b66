"""`techsapo jobs schedule`, which the service `scheduler` runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.cli.options import SpecPlace
from techsapo_ops.cli.output import write
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from techsapo_ops.jobs.job import Job
    from techsapo_ops.jobs.scheduler import JobScheduler
    from techsapo_ops.jobs.wrapper import RunContext
    from techsapo_ops.spec.models.upkeep import Schedule


def start_when_due(
    *,
    place: SpecPlace,
    rendered: Annotated[Path, typer.Option("--rendered", help="Where `techsapo up` wrote the schedule.")],
) -> None:
    """Start each job of the last applied schedule when the job is due, until SIGTERM.

    The spec is not read, so an edit of the spec can't stop the jobs.
    """
    from techsapo_ops.adapters.build import build, note

    build()  # before the rest, as in `serve`: what is installed while that is imported is another build
    from techsapo_ops.cli.jobs.runs import job_argv, run_context
    from techsapo_ops.cli.place import layout_beside
    from techsapo_ops.cli.process import interrupted_once
    from techsapo_ops.cli.trusted_project import require_trust
    from techsapo_ops.jobs.scheduler import JobScheduler, overdue, record_killed
    from techsapo_ops.jobs.timetable import announce, scheduled
    from techsapo_ops.services.scheduler import heartbeat

    # Each run asks this again: a project that others can change later on runs nothing.
    require_trust(place.file)
    layout = layout_beside(place.file)
    try:
        note(layout.scheduler_build)
    except OpsError as error:  # the next `techsapo up` then starts it anew
        _say(msg("can't record the build of this scheduler: {error}", error=error))
    schedule = _schedule(rendered)
    context = run_context(layout, _say, lambda _: None)
    jobs: dict[str, Job] = {job.name: job for job in scheduled(schedule)}

    def command(name: str) -> tuple[str, ...]:
        return (*job_argv(sys.executable, "run", name, place.file, place.environment), "--by", "service")

    def ended(name: str, code: int) -> None:
        _say(
            msg(
                "{now:%Y-%m-%d %H:%M:%S} job {name} ended with code {code}",
                now=context.now(),
                name=name,
                code=code,
            )
        )
        if code < 0 and name in jobs:
            record_killed(jobs[name], context)

    def changed() -> None:
        """Go on with what the file says now; with what it said, where it can no longer be read."""
        try:
            now = _schedule(rendered)
        except OpsError as error:
            _say(msg("the changed schedule is ignored: {error}", error=error))
            return
        jobs.clear()
        jobs.update({job.name: job for job in scheduled(now)})
        scheduler.change(jobs)
        announce(now, context)
        _say_due(scheduler.next_runs, context)

    scheduler = JobScheduler(jobs, context.zone, command, ended, context.now)
    interrupted_once()
    try:
        for job in jobs.values():
            record_killed(job, context)
        announce(schedule, context)
        for name in overdue(jobs, context):
            scheduler.start(name)
        _say_due(scheduler.next_runs, context)
        _watch(scheduler, context, rendered, changed)
    except KeyboardInterrupt:
        scheduler.stop()
        heartbeat.forget(context.textfiles)


def _watch(scheduler: JobScheduler, context: RunContext, source: Path, changed: Callable[[], None]) -> None:
    """Look again and again what is due and whether `source` has `changed`, until interrupted.

    Each look leaves a heartbeat; why one can't be written is said once.
    """
    import threading

    from techsapo_ops.jobs.scheduler import LOOK_SECONDS
    from techsapo_ops.services.scheduler import heartbeat

    content = source.read_bytes() if source.is_file() else b""
    unwritten = ""
    waiting = threading.Event()
    while True:
        try:
            heartbeat.beat(context.textfiles)
            unwritten = ""
        except OpsError as error:
            if unwritten != error.message:
                _say(str(error))
            unwritten = error.message
        waiting.wait(LOOK_SECONDS)
        set_back = scheduler.look()
        now = source.read_bytes() if source.is_file() else content
        if set_back or now != content:
            content = now
            changed()


def _schedule(rendered: Path) -> Schedule:
    """The schedule of the last `techsapo up`. Raises OpsError where it can't be read."""
    from techsapo_ops.adapters.files import read_text
    from techsapo_ops.spec.models.upkeep import Schedule

    return Schedule.model_validate_json(read_text(rendered, what="schedule"))


def _say_due(next_runs: Mapping[str, datetime | None], context: RunContext) -> None:
    for name, time in next_runs.items():
        _say(
            msg(
                "{now:%Y-%m-%d %H:%M:%S} job {name} is due at {time}",
                now=context.now(),
                name=name,
                time=time,
            )
        )


def _say(text: str) -> None:
    write(text, stderr=True)
