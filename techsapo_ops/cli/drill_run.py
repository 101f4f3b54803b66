"""Doing a drill for a command: its report shown, and what is left said where somebody interrupts it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, get_args

import typer

from techsapo_ops.cli.output import Output
from techsapo_ops.cli.views.drills import show_report
from techsapo_ops.messages import msg
from techsapo_ops.operations.drills.report import ClusterDrill, Drill
from techsapo_ops.operations.drills.run import Work, perform

if TYPE_CHECKING:
    from techsapo_ops.stack.stack import Stack

_ENDED: Mapping[Drill, str] = {
    "restore": msg("the throwaway servers are gone, nothing of the stack was touched"),
    "alert": msg("the alert ends by itself"),
    "failover-app": msg("an instance that was killed is started again; `techsapo ps` shows it"),
    "recover": msg("the scratch copy is gone, the live stack was not touched"),
    **dict.fromkeys(
        get_args(ClusterDrill),
        msg("what was taken away is put back; `techsapo drill put-back` sees to it where that failed"),
    ),
}
"""What is left of a drill that was interrupted."""


def run_drill(stack: Stack, drill: Drill, what: Mapping[str, object], work: Work, out: Output) -> None:
    """Do it, show its report, and end with 1 where something was missed."""
    try:
        report, file = perform(stack, drill, what, work, warn=out.warn)
    except KeyboardInterrupt:
        out.warn(msg("interrupted: there is no report; {ended}", ended=_ENDED[drill]))
        raise
    if out.as_json:
        out.json({**report.to_json(), "file": str(file)})
    else:
        show_report(report, out)
        out.say(msg("report: {file}", file=file))
    if not report.ok:
        raise typer.Exit(1)
