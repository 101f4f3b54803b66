"""`techsapo jobs schedule`."""

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
    from collections.abc import Mapping
    from datetime import datetime

    from techsapo_ops.schedule.wrapper import RunContext
    from techsapo_ops.spec.models.data import Schedule


def start_when_due(
    *,
    place: SpecPlace,
    rendered: Annotated[
        Path | None,
        typer.Option("--rendered", hidden=True, help="Where `techsapo up` wrote the schedule."),
    ] = None,
) -> None:
    """Start the jobs of the spec's `schedule` when they are due, until Ctrl-C.

    `techsapo up` runs this as the service `scheduler` unless `schedule.by` says otherwise. A run that was
    missed while nothing ran here is made up for once.

    Examples:

      techsapo jobs schedule
    """
    import logging
    import threading

    from techsapo_ops.adapters.build import build

    build()  # before the rest, as in `serve`: what is installed while that is imported is another build
    from techsapo_ops.cli.job_runs import job_argv, run_context
    from techsapo_ops.cli.signals import interruptible
    from techsapo_ops.cli.state_directory import layout_beside
    from techsapo_ops.operations.jobs.timetable import announce, scheduled
    from techsapo_ops.schedule.scheduler import LOOK_SECONDS, JobScheduler, overdue, record_killed
    from techsapo_ops.services.scheduler import heartbeat
    from techsapo_ops.spec.models.data import Schedule

    trust = _Trust(place.file)
    layout = layout_beside(place.file, trusted=False)
    if rendered is not None and trust.given():
        _note_build(layout.scheduler_build)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    source = rendered or place.file
    # Where root is refused, the runs are: each says why, in the ledger and the metrics. Nothing is read here.
    found = (
        _schedule(place.file, place.environment, rendered)
        if trust.given() or rendered is None
        else Schedule()
    )
    content = source.read_bytes() if trust.before and source.is_file() else b""
    context = run_context(layout, _say, lambda _: None)
    jobs = {job.name: job for job in scheduled(found)}

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
        if code < 0 and trust.given():
            record_killed(jobs[name], context)

    unwritten = ""

    def beat() -> None:
        """Show that this loop works, as the service; what is in the way is said once."""
        nonlocal unwritten
        if rendered is None or not trust.before or not scheduler.keeps_time():
            return
        try:
            heartbeat.beat(context.textfiles)
            unwritten = ""
        except OpsError as error:
            if unwritten != error.message:
                _say(str(error))
            unwritten = error.message

    scheduler = JobScheduler(jobs, context.zone, command, ended)
    with interruptible():
        try:
            if trust.before:
                for job in jobs.values():
                    record_killed(job, context)
                announce(found, context)
            scheduler.start(overdue(jobs, context) if trust.before else ())
            _say_due(scheduler.next_runs(), context)
            waiting = threading.Event()
            beat()
            while not waiting.wait(LOOK_SECONDS):
                jumped = scheduler.look()
                if not trust.given():
                    continue
                if jumped:
                    announce(found, context)
                beat()
                now = source.read_bytes() if source.is_file() else content
                if now == content:
                    continue
                content = now
                try:
                    found = _schedule(place.file, place.environment, rendered)
                except OpsError as error:  # half saved, or wrong: it goes on as it was
                    _say(msg("the changed schedule is not taken over: {error}", error=error))
                    continue
                jobs = {job.name: job for job in scheduled(found)}
                scheduler.change(jobs)
                announce(found, context)
                _say_due(scheduler.next_runs(), context)
        except KeyboardInterrupt:
            scheduler.stop()
            if rendered is not None and trust.before:
                heartbeat.forget(context.textfiles)


def _note_build(path: Path) -> None:
    """Tell the next `techsapo up` what this process runs; without it that starts it anew."""
    from techsapo_ops.adapters.build import note

    try:
        note(path)
    except OpsError as error:
        _say(msg("what this scheduler runs can't be noted: {error}", error=error))


class _Trust:
    """Whether root may use the stack of the spec `file`; says it where that changes."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.before = True
        """What the last look said."""

    def given(self) -> bool:
        """Look again."""
        from techsapo_ops.adapters.strict_modes import UntrustedError
        from techsapo_ops.cli.trusted_project import require_trust

        try:
            require_trust(self._file)
        except UntrustedError as error:
            if self.before:
                _say(str(error))
            self.before = False
        else:
            self.before = True
        return self.before


def _schedule(file: Path, environment: str | None, rendered: Path | None) -> Schedule:
    """The schedule of the last `techsapo up`, which is right whatever the spec is now, or the spec's."""
    from techsapo_ops.adapters.files import read_text
    from techsapo_ops.cli.project import open_project
    from techsapo_ops.spec.models.data import Schedule

    if rendered is None:
        return open_project(file, environment).spec.schedule
    return Schedule.model_validate_json(read_text(rendered, what="schedule"))


def _say_due(next_runs: Mapping[str, datetime | None], context: RunContext) -> None:
    for name, time in next_runs.items():
        _say(msg("{now:%Y-%m-%d %H:%M:%S} job {name} is due {time}", now=context.now(), name=name, time=time))


def _say(text: str) -> None:
    write(text, stderr=True)
