"""`techsapo config`."""

from __future__ import annotations

from techsapo_ops.cli.bundles import CommandGroup
from techsapo_ops.cli.options import JsonOutput, SpecPlace
from techsapo_ops.spec.redact import resolved
from techsapo_ops.stack.formats import to_yaml

app = CommandGroup(
    no_args_is_help=True,
    help="Look at the spec as it is understood, e.g. `techsapo config show`.",
)


@app.callback()
def config() -> None:
    """Look at the spec as it is understood.

    Example:

      techsapo config show
    """


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
