"""The stack's block in a crontab of this host."""

from __future__ import annotations

import os
import sys

from techsapo_ops.adapters.crontab import Crontab
from techsapo_ops.adapters.process import which
from techsapo_ops.cli.environment import runner
from techsapo_ops.cli.job_runs import job_argv
from techsapo_ops.cli.project import Project
from techsapo_ops.cli.root_path import ROOT_PATH
from techsapo_ops.operations.jobs.timetable import CronTable, scheduled


def cron_table(project: Project) -> CronTable:
    """The stack's block in the crontab of whoever this is."""

    def argv(name: str) -> tuple[str, ...]:
        # Without the environment: a job is of the one that is applied when it runs.
        words = job_argv(sys.executable, "run", name, project.path, None, anywhere=False)
        return (*words, "--by", "cron")

    return CronTable(
        Crontab(runner(), which("crontab", path=_path())),
        project.path,
        scheduled(project.spec.schedule),
        argv,
        {"PATH": _path(), "LC_ALL": "C.UTF-8"},
    )


def _path() -> str:
    """This PATH's absolute folders and the system's own: cron's holds little more than /usr/bin."""
    here = [folder for folder in os.environ.get("PATH", "").split(":") if folder.startswith("/")]
    return ":".join(dict.fromkeys([*here, *ROOT_PATH.split(":")]))
