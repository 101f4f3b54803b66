"""`techsapo diff`."""

from __future__ import annotations

from typing import Annotated

import typer

from techsapo_ops.cli.options import DEFAULT_SPEC, FileOption, JsonOption, QuietOption
from techsapo_ops.cli.output import Output


def diff(
    apply: Annotated[
        str | None,
        typer.Argument(
            metavar="[@N]",
            help="An apply of `techsapo history`; default: the one before.",
            show_default=False,
        ),
    ] = None,
    file: FileOption = DEFAULT_SPEC,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show what changed between an earlier apply and now: files and services. Secrets are never shown.

    Examples:

      techsapo diff

      techsapo diff @2
    """
    from techsapo_ops.cli.wiring import layout_beside
    from techsapo_ops.operations.apply.difference import difference

    out = Output(as_json=as_json, quiet=quiet)
    found = difference(layout_beside(file), apply)
    if as_json:
        out.json(
            {
                "since": found.since.id,
                "now": found.now.id,
                "files": [{"path": f.path, "kind": f.kind, "diff": f.diff} for f in found.files],
                "services": [{"service": s.service, "what": s.what} for s in found.services],
            }
        )
        return
    if not found.files and not found.services:
        out.data(f"nothing differs from @{found.since.id}")
        return
    for change in found.files:
        out.data(f"{change.kind:8} {change.path}")
        out.data(change.diff.rstrip("\n"))
    if found.services:
        out.data("services:")
        width = max(len(s.service) for s in found.services)
        for service in found.services:
            out.data(f"  {service.service:{width}}  {service.what}")
    out.next(f"techsapo rollback @{found.since.id}")
