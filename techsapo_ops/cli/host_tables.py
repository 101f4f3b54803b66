"""The tables of this host that can start jobs: crontabs, and timers of systemd."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from techsapo_ops.adapters.crontab import Crontab
from techsapo_ops.adapters.process import which
from techsapo_ops.adapters.systemd import Units
from techsapo_ops.cli.bundles import Bundle
from techsapo_ops.cli.environment import runner
from techsapo_ops.cli.job_runs import job_argv
from techsapo_ops.cli.open_stack import topology_for
from techsapo_ops.cli.project import Project
from techsapo_ops.cli.root_path import ROOT_PATH
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.jobs.timetable import CronTable, Table, scheduled, timer_table


@dataclass(frozen=True, slots=True)
class TableChoice:
    """The crontab of `user`, by default of whoever this is, or with `systemd` the timers in its place."""

    user: str | None = None
    systemd: bool = False

    @property
    def daemon(self) -> str:
        """Who starts what is in it, as `schedule.by` has it."""
        return "systemd" if self.systemd else "cron"

    def open(self, project: Project) -> Table:
        """What of `project` is in it. Raises OpsError for a user's timers."""
        if not self.systemd:
            return cron_table(project, self.user)
        if self.user is not None:
            raise OpsError(
                msg("--user is for a crontab"), msg("run as that user for its own timers"), exit_code=2
            )
        root = os.geteuid() == 0
        folder = Path("/etc/systemd/system") if root else Path.home() / ".config" / "systemd" / "user"
        units = Units(runner(), which("systemctl", path=_path()), user=not root)
        argv = _runs(project, self.daemon)
        return timer_table(topology_for(project), units, folder, argv, _path())


_user = Annotated[
    str | None, typer.Option("--user", metavar="NAME", help="Whose crontab; another's needs root.")
]
_systemd = Annotated[bool, typer.Option("--systemd", help="Timers of systemd in place of a crontab.")]

HostTable = Annotated[TableChoice, Bundle({"user": (_user, None), "systemd": (_systemd, False)})]
"""--user and --systemd."""


def cron_table(project: Project, user: str | None = None) -> CronTable:
    """The stack's block in the crontab of `user`, by default of whoever this is."""
    return CronTable(
        Crontab(runner(), which("crontab", path=_path()), user),
        project.path,
        scheduled(project.spec.schedule),
        _runs(project, "cron"),
        {"PATH": _path(), "LC_ALL": "C.UTF-8"},
    )


def _runs(project: Project, by: str) -> Callable[[str], tuple[str, ...]]:
    def argv(name: str) -> tuple[str, ...]:
        # Without the environment: a job is of the one that is applied when it runs.
        words = job_argv(sys.executable, "run", name, project.path, None, anywhere=by != "cron")
        return (*words, "--by", by)

    return argv


def _path() -> str:
    """This PATH's absolute folders and the system's own: cron's holds little more than /usr/bin."""
    here = [folder for folder in os.environ.get("PATH", "").split(":") if folder.startswith("/")]
    return ":".join(dict.fromkeys([*here, *ROOT_PATH.split(":")]))
