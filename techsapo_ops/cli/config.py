"""`techsapo config`."""

from __future__ import annotations

import typer

from techsapo_ops.cli.options import DEFAULT_SPEC, EnvironmentOption, FileOption, JsonOption
from techsapo_ops.cli.output import Output

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Look at the spec as it is understood, e.g. `techsapo config show`.",
)


@app.callback()
def config() -> None:
    """Look at the spec as it is understood.

    Example:

      techsapo config show
    """


@app.command()
def show(
    file: FileOption = DEFAULT_SPEC,
    environment: EnvironmentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the spec with overlay, variables and defaults filled in; secrets are masked.

    Examples:

      techsapo config show

      techsapo config show -e production --json
    """
    from techsapo_ops.cli.wiring import open_project
    from techsapo_ops.spec.redact import resolved

    out = Output(as_json=as_json)
    project = open_project(file, environment)
    data = resolved(project.spec)
    if as_json:
        out.json(data)
        return
    from techsapo_ops.stack.formats import to_yaml

    for warning in project.warnings:
        out.warn(str(warning))
    out.data(to_yaml(data))
