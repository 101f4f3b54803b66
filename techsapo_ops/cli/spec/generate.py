"""`techsapo config generate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from techsapo_ops.adapters.folders import keep_out_of_git
from techsapo_ops.apply.generate import examine, write_files
from techsapo_ops.cli.open_stack import stack_on, topology_for
from techsapo_ops.cli.options import CHANGES_PENDING, QuietOutput, SpecPlace
from techsapo_ops.cli.output import Output
from techsapo_ops.cli.spec.own_rules import require_own_rules
from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from techsapo_ops.apply.changes import FileChange
    from techsapo_ops.apply.generate import Generated
    from techsapo_ops.stack.topology import Topology

_LISTED = 6


def generate(
    *,
    place: SpecPlace,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 100 when something would change.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what differs, line by line.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that were edited by hand.")] = False,
    out: QuietOutput,
) -> None:
    """Render every configuration file, let the real tools check them, and write them: all or none.

    Exit codes: 0 up to date or written, 1 an error, 2 wrong usage, 100 with --check when something
    would change.

    Examples:

      techsapo config generate

      techsapo config generate --check --diff
    """
    project = place.open()
    topology = topology_for(project)
    require_own_rules(project, topology)
    found = examine(stack_on(project, topology))
    for warning in project.warnings:
        out.warn(str(warning))
    for tool in found.validation.missing:
        out.warn(
            msg(
                "{tool} is not here, so nobody checked {some}: {remedy} brings it",
                tool=tool.tool,
                some=_some(tool.unchecked),
                remedy=tool.remedy,
            )
        )
    if not check:
        keep_out_of_git(project.state)
        write_files(found.files, topology, force=force)
    if diff or not out.quiet:
        _show(out, found.changes, diff=diff)
    _close(out, found, topology, check=check)
    if check and found.changes:
        raise typer.Exit(CHANGES_PENDING)


def _some(paths: tuple[str, ...]) -> str:
    more = len(paths) - _LISTED
    return ", ".join(paths[:_LISTED]) + (msg(" and {more} more", more=more) if more > 0 else "")


def _show(out: Output, changes: tuple[FileChange, ...], *, diff: bool) -> None:
    for change in changes:
        out.data(f"{change.kind.value:<8} {change.path}")
        if diff:
            out.data(change.diff.rstrip("\n"))


def _close(out: Output, found: Generated, topology: Topology, *, check: bool) -> None:
    directory = topology.layout.config
    count = len(found.changes)
    files = msg("{count} files", count=len(found.files))
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
    if found.edited:
        out.say(msg("move your edits into the spec or a template, or overwrite them"))
        out.next("techsapo config generate --force")
    else:
        out.next("techsapo config generate")
