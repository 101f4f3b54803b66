"""The concrete parts of jobs: the ledger, the clock, the zone, and the process that a run is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.adapters.process import Command, which
from techsapo_ops.adapters.strict_modes import UntrustedError
from techsapo_ops.adapters.units import Crontab
from techsapo_ops.cli.environment import acting_user, runner
from techsapo_ops.cli.output import Output
from techsapo_ops.cli.process import ROOT_PATH
from techsapo_ops.cli.project import Project, open_project
from techsapo_ops.cli.trusted_project import require_trust_unattended
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.runs import Runs
from techsapo_ops.jobs.timetable import CronTable, announce, scheduled
from techsapo_ops.jobs.wrapper import RunContext
from techsapo_ops.messages import msg
from techsapo_ops.spec.cron import local_zone
from techsapo_ops.spec.models.upkeep import Schedule
from techsapo_ops.stack.layout import Layout

if TYPE_CHECKING:
    from techsapo_ops.cli.options import SpecChoice


def run_context(layout: Layout, say: Callable[[str], None], echo: Callable[[str], None]) -> RunContext:
    """What runs of this stack's jobs are made with."""
    zone = local_zone()
    return RunContext(
        runs=Runs(layout.jobs),
        textfiles=layout.textfiles,
        now=lambda: datetime.now(zone),
        zone=zone,
        user=acting_user(),
        pid=os.getpid(),
        say=say,
        echo=echo,
    )


def tell_machines(place: SpecChoice) -> None:
    """Bring the metrics of a job to the node exporters of all machines that answer.

    What is in the way is a warning: the next job brings them, too.
    """
    from techsapo_ops.cli.open_stack import open_stack

    try:
        open_stack(place.open()).engine.deliver()
    except OpsError as error:
        Output().warn(msg("other hosts do not have the metrics of this job: {why}", why=error.message))


def job_argv(python: str, command: str, name: str, file: Path, environment: str | None) -> tuple[str, ...]:
    """`techsapo jobs COMMAND NAME` on the spec `file`, whatever PATH is and wherever it starts.

    With -P Python imports nothing that lies in the folder in which it starts.
    """
    chosen = ("--environment", environment) if environment is not None else ()
    words = ("-m", "techsapo_ops", "jobs", command, name, "--file", str(file.resolve()))
    return (python, "-P", *words, *chosen)


def perform_command(name: str, file: Path, environment: str | None) -> Command:
    """The process that does the work of one try."""
    argv = job_argv(sys.executable, "perform", name, file, environment)
    return Command(argv, {"PYTHONUNBUFFERED": "1"}, cwd=file.resolve().parent)


def schedule_or_why(file: Path, environment: str | None) -> tuple[Schedule, OpsError | None]:
    """The spec's schedule; where the spec is wrong, the default one and the reason.

    Raises UntrustedError where others could change what root would read, and write into.
    """
    try:
        return open_project(file, environment).spec.schedule, None
    except UntrustedError:
        raise
    except OpsError as error:
        return Schedule(), error


def cron_table(project: Project) -> CronTable:
    """The stack's block in the crontab of whoever this is."""

    def argv(name: str) -> tuple[str, ...]:
        # Without the environment: a job is of the one that is applied when it runs.
        words = job_argv(sys.executable, "run", name, project.path, None)
        return (*words, "--by", "cron")

    return CronTable(
        Crontab(runner(), which("crontab", path=_path())),
        project.path,
        scheduled(project.spec.schedule),
        argv,
        {"PATH": _path(), "LC_ALL": "C.UTF-8"},
    )


def install_cron(project: Project, out: Output, only: frozenset[str] | None = None) -> bool:
    """Let the crontab start the jobs of the schedule, or `only` these and those that it starts already.

    False where it was so before. Raises OpsError, as UntrustedError where root's cron would be refused.
    """
    require_trust_unattended(project.path, project.spec)
    # First, for it needs the right to write here, as each of the jobs will.
    announce(project.spec.schedule, run_context(project.layout, out.say, out.detail))
    return cron_table(project).install(only)


def _path() -> str:
    """This PATH's absolute folders and the system's own: cron's holds little more than /usr/bin."""
    here = [folder for folder in os.environ.get("PATH", "").split(":") if folder.startswith("/")]
    return ":".join(dict.fromkeys([*here, *ROOT_PATH.split(":")]))
