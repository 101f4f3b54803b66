"""`techsapo config templates`: the shapes of the generated files, and how to change one."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.adapters.files import read_text, write_atomic
from techsapo_ops.cli.bundles import CommandGroup
from techsapo_ops.cli.options import JsonOutput, QuietOutput, SpecChoice, SpecPlace
from techsapo_ops.cli.output import Output
from techsapo_ops.cli.trusted_project import require_trust
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.render.templates import Templates
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.template_folders import FIXED, builtin_names, find_overrides, nearest

if TYPE_CHECKING:
    from techsapo_ops.stack.template_folders import Overrides

NameArgument = Annotated[str, typer.Argument(help="Name from `techsapo config templates list`.")]

app = CommandGroup(
    no_args_is_help=True,
    help="List the templates, or copy one out to change it, "
    "e.g. `techsapo config templates eject nginx/nginx.conf.j2`.",
)


@app.command("list")
def list_templates(*, place: SpecPlace, out: JsonOutput) -> None:
    """List the templates; your own are those in template-overrides/ beside the spec.

    Examples:

      techsapo config templates list

      techsapo config templates list --json
    """
    overrides = _overrides(place, out)
    found = [(name, name not in FIXED and overrides.template(name) is not None) for name in builtin_names()]
    if out.as_json:
        out.json([{"name": name, "overridden": own} for name, own in found])
        return
    out.table(("template", "used"), [(name, msg("yours") if own else msg("built in")) for name, own in found])
    out.say(
        msg(
            "`techsapo config templates eject NAME` copies one into {folder} to change it",
            folder=overrides.folder,
        )
    )


@app.command()
def eject(name: NameArgument, *, place: SpecPlace, out: QuietOutput) -> None:
    """Copy a built-in template into template-overrides/ beside the spec, where it takes the built-in's place.

    To change one block only, replace the copy by a template that extends the built-in one:
    {% extends "builtin/nginx/nginx.conf.j2" %}

    Examples:

      techsapo config templates eject nginx/nginx.conf.j2
    """
    overrides = _overrides(place, out)
    _require_known(name)
    if name in FIXED:
        raise OpsError(
            msg("{name} can't be overridden", name=name),
            msg("`techsapo config templates list` shows the others"),
        )
    if (obstacle := overrides.obstacle) is not None and not overrides.receives:
        raise OpsError(msg("template_overrides: {message}", message=obstacle.message), obstacle.hint)
    target = overrides.folder / name
    if target.exists():
        raise OpsError(
            msg("{target} is there already", target=target), msg("change that one, or remove it first")
        )
    if (present := overrides.template(name)) is not None:
        raise OpsError(
            msg("you have that template already: {present}", present=present),
            msg("move it to {target}, and change it there", target=target),
        )
    write_atomic(target, Templates().source(name).encode())
    out.data(str(target))
    out.next("techsapo config generate --check --diff")


@app.command()
def diff(name: NameArgument, *, place: SpecPlace) -> None:
    """Show how your template differs from the built-in one of this version.

    Examples:

      techsapo config templates diff nginx/nginx.conf.j2
    """
    out = Output()
    own = _overrides(place, out).template(name)
    if own is None:
        hint = (
            msg("`techsapo config templates eject {name}` makes one", name=name)
            if name in builtin_names()
            else nearest(name)
        )
        raise OpsError(msg("you have no template {name}", name=name), hint, exit_code=2)
    _require_known(name)
    ours, theirs = Templates().source(name), read_text(own, what="template")
    compared = list(
        difflib.unified_diff(
            ours.splitlines(), theirs.splitlines(), f"built-in {name}", str(own), lineterm=""
        )
    )
    if compared:
        out.data("\n".join(compared))
    else:
        out.say(msg("{own} is the built-in template, unchanged", own=own))


def _overrides(place: SpecChoice, out: Output) -> Overrides:
    """The folders of the user's own templates; without a spec the default one."""
    if not place.file.is_file():
        require_trust(place.file)
        return find_overrides(place.file.absolute().parent, None)
    project = place.open()
    for warning in project.override_warnings():
        out.warn(str(warning))
    return project.overrides


def _require_known(name: str) -> None:
    if name not in builtin_names():
        raise unknown(msg("template"), name, hint=nearest(name))
