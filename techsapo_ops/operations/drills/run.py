"""One drill from its begin to its report: alone, recorded, stored, and told to Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from techsapo_ops import __version__
from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.administration import Warn, recorded
from techsapo_ops.operations.backup.telling import shared
from techsapo_ops.operations.drills.kept import keep, write_metrics
from techsapo_ops.operations.drills.report import Drill, Report
from techsapo_ops.operations.drills.scratch import clean
from techsapo_ops.stack.stack import Stack

Work = Callable[[Callable[[float], Report]], Report]
"""Does a drill; it is given what makes the report of one that took so many seconds."""


def perform(
    stack: Stack, drill: Drill, what: Mapping[str, Any], work: Work, *, warn: Warn
) -> tuple[Report, Path]:
    """Do `work` as the one drill of this stack; returns the report and its file.

    What a drill that was killed has left is removed first. It is recorded like every other administration,
    and not begun where that is not possible. Raises OpsError where it could not be done.
    """
    at = datetime.now(UTC)
    name = f"{at:%Y%m%dT%H%M%SZ}-{drill}"

    def begin(took: float) -> Report:
        return Report(name, drill, stack.spec.project, stack.engine.name, __version__, at, round(took, 3))

    with exclusive(stack.layout.state / "drill.lock", what=msg("a drill"), waits=False):
        for line in clean(stack.layout, stack.runner):
            warn(line)
        with recorded(stack.layout, msg("drill {drill}", drill=drill), {"id": name, **what}, warn) as known:
            report = work(begin)
            known["ok"] = report.ok
            known["missed"] = list(report.missed)
        written: list[Path] = []

        def write() -> None:
            written.append(keep(stack.layout, report))
            try:
                write_metrics(stack.layout)
            except OpsError as error:
                warn(msg("Prometheus is not told of it: {message}", message=error.message))

        if told := shared(stack, write):
            warn(told)
    return report, written[-1]
