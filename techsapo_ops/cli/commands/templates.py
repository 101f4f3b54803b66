"""`techsapo templates`: the shapes of the generated files, and how to change one."""

from __future__ import annotations

import difflib
from typing import Annotated

import typer

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.cli.bundles import CommandGroup
from techsapo_ops.cli.options import JsonOutput, QuietOutput, SpecFile
from techsapo_ops.cli.state_directory import require_trust
from techsapo_ops.errors import OpsError
from techsapo_ops.render.templates import Templates
from techsapo_ops.stack.layout import OVERRIDES

app = CommandGroup(
    no_args_is_help=True,
    help="List the templates, or copy one out to change it, "
    "e.g. `techsapo templates eject nginx/nginx.conf.j2`.",
)


@app.command("list")
def list_templates(*, place: SpecFile, out: JsonOutput) -> None:
    """List the templates; your own are those in templates/ beside the spec.

    Examples:

      techsapo templates list

      techsapo templates list --json
    """
    require_trust(place.file)
    override = place.file.absolute().parent / OVERRIDES
    templates = Templates(override if override.is_dir() else None)
    found = [(name, templates.overridden(name)) for name in templates.names()]
    if out.as_json:
        out.json([{"name": name, "overridden": own} for name, own in found])
        return
    out.table(["template", "used"], [(name, "yours" if own else "built in") for name, own in found])
    out.next("`techsapo templates eject NAME` copies one into templates/ to change it")


@app.command()
def eject(
    name: Annotated[str, typer.Argument(help="Name from `techsapo templates list`.")],
    *,
    place: SpecFile,
    out: QuietOutput,
) -> None:
    """Copy a built-in template into templates/ beside the spec, where it takes the built-in's place.

    To change one block only, replace the copy by a template that extends the built-in one:
    {% extends "builtin/nginx/nginx.conf.j2" %}

    Examples:

      techsapo templates eject nginx/nginx.conf.j2
    """
    require_trust(place.file)
    templates = Templates()
    if name not in templates.names():
        near = difflib.get_close_matches(name, templates.names(), n=1, cutoff=0.4)
        raise OpsError(
            f"there is no template {name}",
            f"did you mean {near[0]}?" if near else "`techsapo templates list` shows them all",
        )
    target = place.file.absolute().parent / OVERRIDES / name
    if target.exists():
        raise OpsError(f"{target} is there already", "change that one, or remove it first")
    write_atomic(target, templates.source(name).encode())
    out.data(str(target))
    out.next("change it, then `techsapo generate --check --diff` shows the effect")
