"""`techsapo jobs perform`: one try of a job, in the process that `jobs run` watches."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from techsapo_ops.adapters.process import RESULT_VARIABLE
from techsapo_ops.catalogue.jobs import jobs
from techsapo_ops.cli.open_stack import history_beside, open_stack
from techsapo_ops.cli.output import write
from techsapo_ops.cli.place import layout_beside
from techsapo_ops.cli.process import interruptible
from techsapo_ops.cli.project import open_project
from techsapo_ops.engines.native.launch import die_with_parent
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.job import JobContext, JobResult, load
from techsapo_ops.jobs.wrapper import encode
from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from techsapo_ops.stack.stack import Stack


def perform(name: str, file: Path, environment: str | None) -> None:
    """Do the job and hand back its result; ends with its exit code. Raises OpsError where it fails."""
    descriptor = os.environ.get(RESULT_VARIABLE)
    if descriptor is None or name not in jobs():
        raise OpsError(
            msg("only `techsapo jobs run` may start this command"),
            msg("to run the job: `techsapo jobs run {name}`", name=name),
            exit_code=2,
        )
    os.set_inheritable(int(descriptor), False)  # a child that lives on must not keep it open
    with interruptible():
        # When `jobs run` is killed, this ends as by Ctrl-C, and the lock that it inherited goes with it.
        die_with_parent(os.getppid())
        try:
            result = load(jobs()[name].operation)(_context(file, environment))
        except OpsError as error:
            os.write(int(descriptor), encode(JobResult(), str(error)))
            raise
        os.write(int(descriptor), encode(result))
    if result.exit_code:
        raise typer.Exit(result.exit_code)


def _context(file: Path, environment: str | None) -> JobContext:
    @cache
    def stack() -> Stack:
        return open_stack(open_project(file, environment))

    return JobContext(
        layout=layout_beside(file),
        stack=stack,
        history=history_beside(file),
        tell=write,
    )
