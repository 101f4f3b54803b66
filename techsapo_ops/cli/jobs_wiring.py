"""The concrete parts of jobs: the ledger, the clock, the zone, and the process that a run is."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.errors import OpsError

if TYPE_CHECKING:
    from techsapo_ops.adapters.process import Command
    from techsapo_ops.schedule.wrapper import Desk
    from techsapo_ops.spec.layout import Layout
    from techsapo_ops.spec.models.data import Schedule


def local_zone() -> tzinfo:
    """The host's time zone. Raises OpsError when it can't be told, e.g. for a TZ that does not exist."""
    import tzlocal

    try:
        return tzlocal.get_localzone()
    except (LookupError, ValueError, OSError) as error:
        raise OpsError(f"the host's time zone can't be told: {error}", "set TZ, e.g. Asia/Tokyo") from None


def here_and_now(zone: tzinfo) -> Callable[[], datetime]:
    """The clock of this host."""
    return lambda: datetime.now(zone)


def desk_for(layout: Layout, say: Callable[[str], None], echo: Callable[[str], None]) -> Desk:
    """What runs of this stack's jobs are made with."""
    from techsapo_ops.cli.wiring import acting_user
    from techsapo_ops.schedule.runs import Runs
    from techsapo_ops.schedule.wrapper import Desk

    zone = local_zone()
    return Desk(
        runs=Runs(layout.jobs),
        textfiles=layout.textfiles,
        now=here_and_now(zone),
        zone=zone,
        user=acting_user(),
        pid=os.getpid(),
        say=say,
        echo=echo,
    )


def job_argv(python: str, command: str, name: str, file: Path, environment: str | None) -> tuple[str, ...]:
    """`techsapo jobs COMMAND NAME` on the spec `file`, whatever PATH is."""
    chosen = ("--environment", environment) if environment is not None else ()
    return (python, "-m", "techsapo_ops", "jobs", command, name, "--file", str(file.resolve()), *chosen)


def perform_command(name: str, file: Path, environment: str | None) -> Command:
    """The process that does the work of one try."""
    from techsapo_ops.adapters.process import Command

    argv = job_argv(sys.executable, "perform", name, file, environment)
    return Command(argv, {"PYTHONUNBUFFERED": "1"}, cwd=file.resolve().parent)


def schedule_or_why(file: Path, environment: str | None) -> tuple[Schedule, OpsError | None]:
    """The spec's schedule; where the spec can't be read, the default one and the reason."""
    from techsapo_ops.cli.wiring import open_project
    from techsapo_ops.spec.models.data import Schedule

    try:
        return open_project(file, environment).spec.schedule, None
    except OpsError as error:
        return Schedule(), error
