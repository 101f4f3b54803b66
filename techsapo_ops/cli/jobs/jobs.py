"""`techsapo jobs`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from techsapo_ops.adapters.files import read_text
from techsapo_ops.catalogue.jobs import jobs
from techsapo_ops.cli.arguments import completes
from techsapo_ops.cli.environment import runner
from techsapo_ops.cli.jobs.runs import perform_command, run_context, schedule_or_why, tell_machines
from techsapo_ops.cli.jobs.scheduler_loop import start_when_due
from techsapo_ops.cli.language import spoken_language
from techsapo_ops.cli.open_stack import machines_of_stack, topology_for
from techsapo_ops.cli.options import (
    JsonOutput,
    QuietOutput,
    SpecFile,
    SpecPlace,
    WaitOption,
)
from techsapo_ops.cli.output import Output, filled, write
from techsapo_ops.cli.place import layout_beside
from techsapo_ops.cli.process import interruptible
from techsapo_ops.cli.typer_base import CommandGroup
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.runs import Runs, Starter, find_job, job_statuses
from techsapo_ops.jobs.starters import nobody_starts
from techsapo_ops.jobs.wrapper import due, run_job
from techsapo_ops.messages import msg
from techsapo_ops.spec.cron import local_zone
from techsapo_ops.spec.models.upkeep import Schedule

if TYPE_CHECKING:
    from techsapo_ops.jobs.runs import JobStatus, Run
    from techsapo_ops.jobs.wrapper import Finished


INTERRUPTED = 130

app = CommandGroup(
    invoke_without_command=True,
    help="Show the jobs or run one, e.g. `techsapo jobs run drift`.",
)
NameArgument = Annotated[
    str, typer.Argument(help="Name of the job, from `techsapo jobs`.", autocompletion=completes("jobs"))
]


@app.callback()
def list_jobs(*, place: SpecPlace, out: JsonOutput) -> None:
    """Show the jobs, when each runs next and how it went.

    Examples:

      techsapo jobs

      techsapo jobs run drift

      techsapo jobs history drift
    """
    project = place.open()
    zone = local_zone()
    schedule = project.spec.schedule
    layout = project.layout
    statuses = job_statuses(schedule, Runs(layout.jobs), layout.textfiles, datetime.now(zone), zone)
    if out.as_json:
        out.json({"by": schedule.by, "jobs": [status_json(s) for s in statuses]})
        return
    rows = [
        (
            s.job.name,
            s.job.at or "off",
            clock(s.next),
            clock(s.last.started if s.last else None),
            msg("missed {time}", time=clock(s.missed)) if s.missed else s.last.result if s.last else "-",
            took(s.last),
            ((s.last.error or s.last.summary) if s.last else "")
            or jobs()[s.job.name].title[spoken_language()],
        )
        for s in statuses
    ]
    columns = ("JOB", "SCHEDULE", "NEXT RUN", "LAST RUN", "RESULT", "TOOK", "WHAT")
    out.table(*filled(columns, rows), right=("TOOK",))
    if nobody := nobody_starts(topology_for(project), runner()):
        out.warn(nobody)
    if missed := [s.job.name for s in statuses if s.missed is not None]:
        out.warn(msg("jobs that did not start when due: {names}", names=", ".join(missed)))
    if schedule.by == "none":
        out.say(msg("schedule.by is none: nothing starts these jobs"))
    failed = next((s.job.name for s in statuses if s.last and s.last.result != "ok"), None)
    out.next(f"techsapo jobs log {failed}" if failed else f"techsapo jobs history {statuses[0].job.name}")


@app.command()
def run(
    name: NameArgument,
    *,
    place: SpecPlace,
    wait: WaitOption = 0.0,
    by: Annotated[
        Starter,
        typer.Option(
            "--by", help="What starts the job; with any value but `hand`, the job runs only if it is due."
        ),
    ] = "hand",
    out: QuietOutput,
) -> None:
    """Run one job now and record the result; the job's output is shown and stored.

    The exit code is 0 if the job succeeded, 1 if the job failed, and 130 if the run was interrupted. With
    several hosts, a due job runs on only one of them; the others show where and when it ran, and end with
    exit code 0.

    Examples:

      techsapo jobs run drift

      techsapo jobs run costs --wait 600
    """
    unattended = by != "hand"
    out = Output(quiet=out.quiet or unattended)
    if not unattended:
        place.say_environment()
    schedule, refusal = schedule_or_why(place.spec_file(), place.environment)
    job = find_job(schedule, name)
    layout = layout_beside(place.file)
    context = run_context(layout, _complain, out.say)
    note = machines_of_stack(place.file, layout)

    def here() -> Finished | None:
        try:
            command = perform_command(name, place.file, place.environment)
            return run_job(job, command, context, by=by, wait=wait, refusal=refusal)
        except OpsError:
            # Cron and the stack's own scheduler may both start it: whoever comes second finds it under way.
            if unattended and not due(job, context.runs.last(name), context):
                return None
            raise

    def on_one_of_them() -> Finished | str:
        from techsapo_ops.jobs.cluster import Cluster

        command = perform_command(name, place.file, place.environment)
        hosts = Cluster(layout, note, runner(), lambda: tell_machines(place))
        return hosts.run_once(job, command, context, by=by, wait=wait, refusal=refusal)

    with interruptible():
        done = on_one_of_them() if note.machines else here()
    if isinstance(done, str):
        if by != "cron" or sys.stdout.isatty():  # cron would send it by mail, each time
            out.data(f"{name}: {done}")
        return
    if done is None:
        return
    if not done.run.ok:
        if out.quiet:
            for line in done.tail:
                _complain(line)
        raise OpsError(
            msg("job {name}: {result}: {error}", name=name, result=done.run.result, error=done.run.error),
            msg("`techsapo jobs log {name}` shows the job's whole output", name=name),
            exit_code=INTERRUPTED if done.run.result == "interrupted" else 1,
        )
    if not done.recorded:
        raise OpsError(
            msg("job {name} succeeded, but its run could not be recorded", name=name),
            msg("the reason is printed above"),
        )


@app.command()
def history(
    name: NameArgument,
    *,
    place: SpecFile,
    lines: Annotated[int, typer.Option("--lines", "-n", metavar="N", min=1, help="The last N runs.")] = 20,
    out: JsonOutput,
) -> None:
    """List the runs of a job, newest first. A killed run is marked.

    Examples:

      techsapo jobs history drift

      techsapo jobs history drift --json
    """
    runs, past_runs = _runs(place.stack_file(), name)
    shown = list(reversed(past_runs))[:lines]
    if out.as_json:
        out.json({"job": name, "runs": [run_json(r, str(runs.log(r))) for r in shown]})
        return
    if not shown:
        out.say(msg("job {name} has not run yet", name=name))
        out.next(f"techsapo jobs run {name}")
        return
    out.table(
        ("RUN", "STARTED", "STARTED BY", "USER", "RESULT", "CODE", "TRIES", "TOOK", "WHAT"),
        [
            (
                f"#{r.id}",
                clock(r.started),
                f"{r.by} ({r.host})" if r.host else r.by,
                r.user,
                r.result,
                "-" if r.exit_code is None else r.exit_code,
                r.tries,
                took(r),
                r.error or r.summary,
            )
            for r in shown
        ],
        right=("CODE", "TRIES", "TOOK"),
    )
    out.next(f"techsapo jobs log {name} {shown[0].id}")


@app.command()
def log(
    name: NameArgument,
    number: Annotated[
        int | None, typer.Argument(metavar="[RUN]", help="Number of the run.", show_default="the last run")
    ] = None,
    *,
    place: SpecFile,
) -> None:
    """Print the output of a run, each line with its time.

    Examples:

      techsapo jobs log drift

      techsapo jobs log drift 12
    """
    runs, past_runs = _runs(place.stack_file(), name)
    wanted = [r for r in past_runs if number is None or r.id == number]
    if not wanted:
        which = (
            msg("run {number} of job {name}", number=number, name=name)
            if number is not None
            else msg("run of job {name}", name=name)
        )
        raise OpsError(
            msg("there is no {which}", which=which),
            msg("`techsapo jobs history {name}` lists the job's runs", name=name),
            exit_code=1 if number is None else 2,
        )
    Output().data(read_text(runs.log(wanted[-1]), what=msg("log")).rstrip("\n"))


app.command(name="schedule", hidden=True)(start_when_due)


@app.command(hidden=True)
def perform(name: NameArgument, *, place: SpecPlace) -> None:
    """Make one try of a job; `techsapo jobs run` starts this command in a process of its own."""
    from techsapo_ops.cli.jobs.attempt import perform as do

    do(name, place.file, place.environment)


def _runs(file: Path, name: str) -> tuple[Runs, tuple[Run, ...]]:
    find_job(Schedule(), name)
    runs = Runs(layout_beside(file).jobs)
    return runs, runs.of(name)


def _complain(text: str) -> None:
    write(text, stderr=True)


def clock(time: datetime | None) -> str:
    """By this host's clock."""
    return f"{time.astimezone():%Y-%m-%d %H:%M:%S}" if time is not None else "-"


def took(run: Run | None) -> str:
    """How long a run took."""
    return f"{run.seconds:.1f} s" if run is not None and run.seconds is not None else "-"


def run_json(run: Run, log: str | None = None) -> dict[str, Any]:
    """One run as plain data."""
    value = {**asdict(run), "started": run.started.isoformat()}
    return value if log is None else {**value, "log": log}


def status_json(status: JobStatus) -> dict[str, Any]:
    """A job, when it runs next and how it went, as plain data."""
    job = status.job
    return {
        "name": job.name,
        "title": jobs()[job.name].title["en"],
        "schedule": job.at,
        "next": status.next.isoformat() if status.next is not None else None,
        "timeout": job.timeout,
        "retries": job.retries,
        "retry_wait": job.retry_wait,
        "last": run_json(status.last) if status.last is not None else None,
        "last_success": status.last_success.started.isoformat() if status.last_success is not None else None,
        "missed": status.missed.isoformat() if status.missed is not None else None,
    }
