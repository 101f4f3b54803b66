"""What Prometheus is told of the drills, through node exporter's textfile collector."""

from __future__ import annotations

from collections.abc import Iterator

from techsapo_ops.adapters.textfile import Sample, write_textfile
from techsapo_ops.operations.drills.kept import reports
from techsapo_ops.stack.layout import Layout

NAME = "drills"
"""Name of the file and value of its label `name`."""


def write_metrics(layout: Layout) -> None:
    """Tell of the drills as they are now. Raises OpsError where the file can't be written."""
    write_textfile(layout.textfiles, NAME, samples(layout))


def samples(layout: Layout) -> Iterator[Sample]:
    """The series as they are now: of each drill its newest report, and when one last met its objectives."""
    found = reports(layout)
    for drill, report in {report.drill: report for report in found}.items():
        which = {"drill": drill}
        yield Sample("techsapo_drill_last_run_timestamp_seconds", report.started.timestamp(), which)
        yield Sample("techsapo_drill_last_success", float(report.ok), which)
        good = [each for each in found if each.drill == drill and each.ok]
        if good:
            yield Sample("techsapo_drill_last_success_timestamp_seconds", good[-1].started.timestamp(), which)
        for phase in report.phases:
            labels = {**which, "phase": phase.name}
            if phase.seconds is not None:
                yield Sample("techsapo_drill_seconds", phase.seconds, labels)
            if phase.objective is not None:
                yield Sample("techsapo_drill_objective_seconds", phase.objective, labels)
