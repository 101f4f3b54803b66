"""`techsapo plan`."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from techsapo_ops.cli.options import (
    DEFAULT_SPEC,
    EnvironmentOption,
    FileOption,
    JsonOption,
    QuietOption,
    VerboseOption,
)
from techsapo_ops.cli.output import Output

CHANGES_PENDING = 100


def plan(
    services: Annotated[
        list[str] | None, typer.Argument(metavar="[SERVICE]…", help="Only these and what they need.")
    ] = None,
    file: FileOption = DEFAULT_SPEC,
    environment: EnvironmentOption = None,
    engine: Annotated[
        Literal["native", "compose"] | None, typer.Option("--engine", help="Overrides the spec's engine.")
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show what changes in each file.")] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Show what `up` would change, and why: files, and an action per service.

    Ends with 0 when everything is up to date, 100 when something would change.

    Examples:

      techsapo plan

      techsapo plan --diff

      techsapo plan prometheus --json
    """
    from techsapo_ops.cli.own_templates import template_warnings
    from techsapo_ops.cli.stack_view import plan_json, show_plan
    from techsapo_ops.cli.wiring import engine_for, open_project, topology_for
    from techsapo_ops.operations.apply.up import plan_stack

    out = Output(as_json=as_json, quiet=quiet, verbose=verbose)
    project = open_project(file, environment)
    topology = topology_for(project, engine)
    found = plan_stack(
        project.spec, topology, project.templates, engine_for(project, topology), tuple(services or ())
    )
    for warning in template_warnings(project.directory, project.loaded):
        out.warn(str(warning))
    if as_json:
        out.json(plan_json(found))
    elif found.changes:
        show_plan(found, out, diff=diff)
        out.next("techsapo up")
    else:
        out.data("up to date")
    if found.changes:
        raise typer.Exit(CHANGES_PENDING)
