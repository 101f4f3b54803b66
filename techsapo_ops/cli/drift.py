"""`techsapo drift`."""

from __future__ import annotations

import typer

from techsapo_ops.cli.options import DEFAULT_SPEC, FileOption, JsonOption, QuietOption
from techsapo_ops.cli.output import Output

DRIFTED = 100


def drift(file: FileOption = DEFAULT_SPEC, as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Say what is no longer as it was applied: files edited by hand, processes changed behind our back.

    Ends with 0 when everything is as the last good apply left it, 100 when something is not.

    Examples:

      techsapo drift

      techsapo drift --json
    """
    from techsapo_ops.cli.up import Progress
    from techsapo_ops.cli.wiring import engines, layout_beside
    from techsapo_ops.operations.apply import drift as operation
    from techsapo_ops.operations.apply.drift import EDITED
    from techsapo_ops.operations.apply.transaction import Tools

    out = Output(as_json=as_json, quiet=quiet)
    report = operation.drift(layout_beside(file), Tools(engines(), Progress(out)))
    if as_json:
        out.json(
            {
                "against": report.against.id,
                "drifted": bool(report.findings),
                "findings": [{"kind": f.kind, "name": f.name, "what": f.what} for f in report.findings],
            }
        )
    elif not report.findings:
        out.data(f"as applied by @{report.against.id}")
    else:
        out.table(("KIND", "NAME", "WHAT"), [(f.kind, f.name or "-", f.what) for f in report.findings])
        if any(f.what == EDITED for f in report.findings):
            out.say("`techsapo diff` shows edits; `techsapo up --force` overwrites them")
        out.next("techsapo plan")
    if report.findings:
        raise typer.Exit(DRIFTED)
