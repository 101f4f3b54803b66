"""`techsapo config`: the spec, and all that comes from it."""

from __future__ import annotations

from techsapo_ops.cli import secrets, templates
from techsapo_ops.cli.bundles import CommandGroup
from techsapo_ops.cli.explain import explain
from techsapo_ops.cli.generate import generate
from techsapo_ops.cli.options import JsonOutput, SpecPlace
from techsapo_ops.cli.output import Output
from techsapo_ops.spec.redact import resolved
from techsapo_ops.spec.schema import json_schema
from techsapo_ops.stack.formats import to_yaml

app = CommandGroup(
    no_args_is_help=True,
    help="Show the spec, its fields and secrets, and the files made from it, e.g. `techsapo config show`.",
)


@app.command()
def show(*, place: SpecPlace, out: JsonOutput) -> None:
    """Print the spec with overlay, variables and defaults filled in; secrets are masked.

    Examples:

      techsapo config show

      techsapo config show -e production --json
    """
    project = place.open()
    data = resolved(project.spec)
    if out.as_json:
        out.json(data)
        return

    for warning in project.warnings:
        out.warn(str(warning))
    out.data(to_yaml(data))


app.command()(explain)


@app.command()
def schema() -> None:
    """Print the spec's JSON Schema (draft 2020-12), for editors that complete and check.

    In VS Code and others with the YAML language server, put this line first in techsapo.yaml:
    # yaml-language-server: $schema=techsapo.schema.json

    Example:

      techsapo config schema > techsapo.schema.json
    """
    Output().json(json_schema())


app.command()(generate)
app.add_typer(templates.app, name="templates")
app.add_typer(secrets.app, name="secrets")
