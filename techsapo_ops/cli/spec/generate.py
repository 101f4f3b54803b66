"""`techsapo config generate` and `templates`: the generated files, their shapes, and how to change one."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.adapters.files import read_text, write_atomic
from techsapo_ops.adapters.folders import keep_out_of_git
from techsapo_ops.apply.generate import examine, write_files
from techsapo_ops.cli.open_stack import stack_on, topology_for
from techsapo_ops.cli.options import CHANGES_PENDING, JsonOutput, QuietOutput, SpecChoice, SpecPlace
from techsapo_ops.cli.output import Output
from techsapo_ops.cli.project import require_own_rules
from techsapo_ops.cli.trusted_project import require_trust
from techsapo_ops.cli.typer_base import CommandGroup
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.render.templates import Templates
from techsapo_ops.spec.problems import unknown
from techsapo_ops.stack.template_folders import FIXED, builtin_names, find_overrides, nearest

if TYPE_CHECKING:
    from techsapo_ops.apply.changes import FileChange
    from techsapo_ops.apply.generate import Generated
    from techsapo_ops.stack.template_folders import Overrides
    from techsapo_ops.stack.topology import Topology


_LISTED = 6


def generate(
    *,
    place: SpecPlace,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; the exit code is 100 if something would change.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what differs, line by line.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that were edited by hand.")] = False,
    out: QuietOutput,
) -> None:
    """Render every configuration file, check them with the servers' own tools, and write all of them or none.

    The exit code is 0 if the files are up to date or were written, 1 on an error, 2 on wrong usage, and 100
    with --check if something would change.

    Examples:

      techsapo config generate

      techsapo config generate --check --diff
    """
    project = place.open()
    topology = topology_for(project)
    require_own_rules(project, topology)
    generated = examine(stack_on(project, topology))
    for warning in project.warnings:
        out.warn(str(warning))
    for tool in generated.validation.missing:
        out.warn(
            msg(
                "not checked, because {tool} is not installed: {unchecked} ({remedy})",
                tool=tool.tool,
                unchecked=_some(tool.unchecked),
                remedy=tool.remedy,
            )
        )
    if not check:
        keep_out_of_git(project.state)
        write_files(generated.files, topology, force=force)
    if diff or not out.quiet:
        _show(out, generated.changes, diff=diff)
    _close(out, generated, topology, check=check)
    if check and generated.changes:
        raise typer.Exit(CHANGES_PENDING)


def _some(paths: tuple[str, ...]) -> str:
    more = len(paths) - _LISTED
    return ", ".join(paths[:_LISTED]) + (msg(" and {more} more", more=more) if more > 0 else "")


def _show(out: Output, changes: tuple[FileChange, ...], *, diff: bool) -> None:
    for change in changes:
        out.data(f"{change.kind.value:<8} {change.path}")
        if diff:
            out.data(change.diff.rstrip("\n"))


def _close(out: Output, generated: Generated, topology: Topology, *, check: bool) -> None:
    directory = topology.layout.config
    count = len(generated.changes)
    files = msg("{count} files", count=len(generated.files))
    if not count:
        out.say(msg("{files} in {directory} are up to date", files=files, directory=directory))
        return
    if not check:
        out.say(
            msg("{count} of {files} written to {directory}", count=count, files=files, directory=directory)
        )
        out.next("techsapo up")
        return
    out.say(
        msg("{count} of {files} in {directory} would change", count=count, files=files, directory=directory)
    )
    if generated.edited:
        out.say(msg("move your edits into the spec or a template, or overwrite them"))
        out.next("techsapo config generate --force")
    else:
        out.next("techsapo config generate")


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
    templates = [
        (name, name not in FIXED and overrides.template(name) is not None) for name in builtin_names()
    ]
    if out.as_json:
        out.json([{"name": name, "overridden": own} for name, own in templates])
        return
    out.table(
        ("template", "used"), [(name, msg("yours") if own else msg("built in")) for name, own in templates]
    )
    out.say(
        msg(
            "`techsapo config templates eject NAME` copies a template into {folder}, where you can change it",
            folder=overrides.folder,
        )
    )


@app.command()
def eject(name: NameArgument, *, place: SpecPlace, out: QuietOutput) -> None:
    """Copy a built-in template into template-overrides/ beside the spec; the copy replaces the built-in one.

    To change only one block, replace the copy with a template that extends the built-in one:
    {% extends "builtin/nginx/nginx.conf.j2" %}

    Examples:

      techsapo config templates eject nginx/nginx.conf.j2
    """
    overrides = _overrides(place, out)
    _require_known(name)
    if name in FIXED:
        raise OpsError(
            msg("template {name} can't be overridden", name=name),
            msg("`techsapo config templates list` shows the other templates"),
        )
    if (obstacle := overrides.obstacle) is not None and not overrides.receives:
        raise OpsError(msg("template_overrides: {message}", message=obstacle.message), obstacle.hint)
    target = overrides.folder / name
    if target.exists():
        raise OpsError(
            msg("{target} already exists", target=target), msg("change the existing file, or remove it first")
        )
    if (present := overrides.template(name)) is not None:
        raise OpsError(
            msg("you have that template already: {present}", present=present),
            msg("move the template to {target}, and change it there", target=target),
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
            msg("`techsapo config templates eject {name}` makes a copy that you can change", name=name)
            if name in builtin_names()
            else nearest(name)
        )
        raise OpsError(msg("you have no template {name} of your own", name=name), hint, exit_code=2)
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
        out.say(msg("{own} is the same as the built-in template", own=own))


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
