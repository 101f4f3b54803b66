"""`techsapo diff`."""

from __future__ import annotations

from typing import Annotated

import typer

from techsapo_ops.cli.open_stack import history_beside
from techsapo_ops.cli.options import JsonQuietOutput, SpecFile
from techsapo_ops.cli.views.summary import difference_line, difference_summary
from techsapo_ops.messages import msg
from techsapo_ops.operations.apply.difference import difference


def diff(
    apply: Annotated[
        str | None,
        typer.Argument(
            metavar="[@N]",
            help="An apply of `techsapo history`; default: the one before.",
            show_default=False,
        ),
    ] = None,
    *,
    place: SpecFile,
    out: JsonQuietOutput,
) -> None:
    """Show what changed between an earlier apply and now: files and services. Secrets are never shown.

    Examples:

      techsapo diff

      techsapo diff @2
    """
    found = difference(history_beside(place.stack_file()), apply)
    if out.as_json:
        out.json(
            {
                "since": found.since.id,
                "now": found.now.id,
                "summary": difference_summary(found),
                "files": [{"path": f.path, "kind": f.kind, "diff": f.diff} for f in found.files],
                "services": [{"service": s.service, "what": s.what} for s in found.services],
            }
        )
        return
    if not found.files and not found.services:
        out.data(msg("nothing differs from @{id}", id=found.since.id))
        return
    for change in sorted(found.files, key=lambda change: change.kind != "removed"):
        out.data(f"{change.kind:8} {change.path}")
        out.data(change.diff.rstrip("\n"))
    if found.services:
        out.data(msg("services:"))
        width = max(len(s.service) for s in found.services)
        for service in found.services:
            out.data(
                msg("  {service:{width}}  {what}", width=width, service=service.service, what=service.what)
            )
    out.data(difference_line(found))
    out.next(f"techsapo rollback @{found.since.id}")
