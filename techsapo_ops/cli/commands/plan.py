"""`techsapo plan`."""

from __future__ import annotations

from typing import Annotated

import typer

from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.options import EngineOption, FullOutput, ServicesArgument, SpecPlace
from techsapo_ops.cli.views.plan import plan_json, show_plan
from techsapo_ops.messages import msg
from techsapo_ops.operations.apply.plan import plan_of
from techsapo_ops.operations.jobs.starters import nobody_starts

CHANGES_PENDING = 100


def plan(
    services: ServicesArgument = None,
    *,
    place: SpecPlace,
    engine: EngineOption = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show what changes in each file.")] = False,
    out: FullOutput,
) -> None:
    """Show what `up` would change, and why: files, and an action per service.

    Ends with 0 when everything is up to date, 100 when something would change.

    Examples:

      techsapo plan

      techsapo plan --diff

      techsapo plan prometheus --json
    """
    project = place.open()
    stack = open_stack(project, engine)
    found = plan_of(stack, tuple(services or ()))
    for warning in project.own_templates.warnings():
        out.warn(str(warning))
    if out.as_json:
        out.json(plan_json(found))
    elif found.changes:
        show_plan(found, out, diff=diff)
        out.next("techsapo up")
    else:
        out.data(msg("up to date"))
    if not out.as_json and (nobody := nobody_starts(stack.topology, stack.runner)):
        out.say(nobody)
    if found.changes:
        raise typer.Exit(CHANGES_PENDING)
