"""`techsapo plan`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from techsapo_ops.apply.history import History
from techsapo_ops.apply.plan import plan_of
from techsapo_ops.apply.prechecks import plan_start_problems, taken_ports
from techsapo_ops.apply.spec_files import applied_elsewhere
from techsapo_ops.cli.apply.plan_view import COMPARING, tell_plan
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import CHANGES_PENDING, EngineOption, FullOutput, ServicesArgument, SpecPlace
from techsapo_ops.cli.project import require_own_rules
from techsapo_ops.cli.trusted_project import require_trust_of_jobs
from techsapo_ops.cli.watch.services_view import stopped_lines
from techsapo_ops.jobs.starters import nobody_starts
from techsapo_ops.messages import msg
from techsapo_ops.stack.journal import CUT_SHORT, Operation, half_restored


def plan(
    services: ServicesArgument = None,
    *,
    place: SpecPlace,
    engine: EngineOption = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show what changes in each file.")] = False,
    keep: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Save the plan in FILE, for `up --plan FILE`.", show_default=False
        ),
    ] = None,
    out: FullOutput,
) -> None:
    """Show what `up` would change, and why: files, and an action per service.

    The exit code is 0 when everything is up to date, 100 when something would change, and 1 when `up` would
    refuse (the app could not start, or earlier data is gone). `up --plan` does exactly what a plan saved with
    --out shows. It does nothing if any of these has changed since: the spec, a variable, a template, the
    version, this host, or the running services.

    Examples:

      techsapo plan

      techsapo plan --diff

      techsapo plan prometheus --json

      techsapo plan --out change.plan
    """
    project = place.open()
    stack = open_stack(project, engine)
    require_own_rules(project, stack.topology)
    require_trust_of_jobs(stack.topology)
    only = tuple(services or ())
    with out.busy(COMPARING):
        stack_plan = plan_of(stack, only)
    problems = plan_start_problems(stack_plan, stack.disabled)
    if keep is not None and not problems:
        from techsapo_ops.apply.plan_file import save_plan

        save_plan(keep, stack_plan, History.of(stack), only, engine)
    for warning in project.override_warnings():
        out.warn(str(warning))
    if half_restored(stack.layout):
        left = CUT_SHORT[Operation.RESTORE]
        out.warn(msg("{half}; {back}", half=left.what, back=left.then))
    if elsewhere := applied_elsewhere(stack):
        out.warn(elsewhere)
    for taken in taken_ports(stack_plan, History.of(stack), stack.engine):
        out.warn(taken)
    then = "techsapo up" if keep is None else f"techsapo up --plan {shlex.quote(str(keep))}"
    tell_plan(stack_plan, out, diff=diff, then="" if problems else then)
    if not out.as_json:
        for line in stopped_lines(stack_plan.observed):
            out.say(line)
    if not out.as_json and (nobody := nobody_starts(stack.topology, stack.runner)):
        out.say(nobody)
    if problems:
        from techsapo_ops.wallbounce.start import require_start

        require_start(problems, what=msg("`up` would refuse this plan, because the app could not start"))
    if stack_plan.lost:
        raise typer.Exit(1)
    if stack_plan.changes:
        raise typer.Exit(CHANGES_PENDING)
