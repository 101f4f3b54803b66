"""`techsapo templates`: the shapes of the generated files, and how to change one."""

from __future__ import annotations

from typing import Annotated

import typer

from techsapo_ops.cli.options import DEFAULT_SPEC, FileOption, JsonOption, QuietOption
from techsapo_ops.cli.output import Output

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="List the templates, or copy one out to change it, "
    "e.g. `techsapo templates eject nginx/nginx.conf.j2`.",
)


@app.command("list")
def list_templates(file: FileOption = DEFAULT_SPEC, as_json: JsonOption = False) -> None:
    """List the templates; your own are those in templates/ beside the spec.

    Examples:

      techsapo templates list

      techsapo templates list --json
    """
    from techsapo_ops.cli.wiring import require_trust
    from techsapo_ops.render.templates import Templates
    from techsapo_ops.stack.layout import OVERRIDES

    require_trust(file)
    out = Output(as_json=as_json)
    override = file.absolute().parent / OVERRIDES
    templates = Templates(override if override.is_dir() else None)
    found = [(name, templates.overridden(name)) for name in templates.names()]
    if as_json:
        out.json([{"name": name, "overridden": own} for name, own in found])
        return
    out.table(["template", "used"], [(name, "yours" if own else "built in") for name, own in found])
    out.next("`techsapo templates eject NAME` copies one into templates/ to change it")


@app.command()
def eject(
    name: Annotated[str, typer.Argument(help="Name from `techsapo templates list`.")],
    file: FileOption = DEFAULT_SPEC,
    quiet: QuietOption = False,
) -> None:
    """Copy a built-in template into templates/ beside the spec, where it takes the built-in's place.

    To change one block only, replace the copy by a template that extends the built-in one:
    {% extends "builtin/nginx/nginx.conf.j2" %}

    Examples:

      techsapo templates eject nginx/nginx.conf.j2
    """
    from techsapo_ops.adapters.files import write_atomic
    from techsapo_ops.cli.wiring import require_trust
    from techsapo_ops.errors import OpsError
    from techsapo_ops.render.templates import Templates
    from techsapo_ops.stack.layout import OVERRIDES

    require_trust(file)
    out = Output(quiet=quiet)
    templates = Templates()
    if name not in templates.names():
        import difflib

        near = difflib.get_close_matches(name, templates.names(), n=1, cutoff=0.4)
        raise OpsError(
            f"there is no template {name}",
            f"did you mean {near[0]}?" if near else "`techsapo templates list` shows them all",
        )
    target = file.absolute().parent / OVERRIDES / name
    if target.exists():
        raise OpsError(f"{target} is there already", "change that one, or remove it first")
    write_atomic(target, templates.source(name).encode())
    out.data(str(target))
    out.next("change it, then `techsapo generate --check --diff` shows the effect")
