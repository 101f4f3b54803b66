"""`techsapo drift`."""

from __future__ import annotations

import typer

from techsapo_ops.cli.open_stack import history_beside
from techsapo_ops.cli.options import JsonQuietOutput, SpecFile
from techsapo_ops.messages import msg
from techsapo_ops.operations.apply import drift as operation
from techsapo_ops.operations.apply.drift import EDITED

DRIFTED = 100


def drift(*, place: SpecFile, out: JsonQuietOutput) -> None:
    """Say what is no longer as it was applied: files edited by hand, processes changed outside techsapo.

    Ends with 0 when everything is as the last good apply left it, 100 when something is not.

    Examples:

      techsapo drift

      techsapo drift --json
    """
    report = operation.drift(history_beside(place.stack_file()))
    if out.as_json:
        out.json(
            {
                "against": report.against.id,
                "drifted": bool(report.findings),
                "findings": [{"kind": f.kind, "name": f.name, "what": f.what} for f in report.findings],
            }
        )
    elif not report.findings:
        out.data(msg("as applied by @{id}", id=report.against.id))
    else:
        out.table(("KIND", "NAME", "WHAT"), [(f.kind, f.name or "-", f.what) for f in report.findings])
        if any(f.what == EDITED for f in report.findings):
            out.say(msg("`techsapo diff` shows edits; `techsapo up --force` overwrites them"))
        out.next("techsapo plan")
    if report.findings:
        raise typer.Exit(DRIFTED)
