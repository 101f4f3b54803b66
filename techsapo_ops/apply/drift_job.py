"""The job `drift`: findings become a metric, and DriftFound fires on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import get_args

from techsapo_ops.adapters.textfile import Sample
from techsapo_ops.apply import drift
from techsapo_ops.apply.data import note_data, note_unnoted, unnoted_data
from techsapo_ops.engines.at_work import at_work
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.context import JobContext
from techsapo_ops.jobs.job import JobResult
from techsapo_ops.messages import msg
from techsapo_ops.services.lost_data import lost_data
from techsapo_ops.stack.data_notes import DataNote

APPLY_SECONDS = 240.0
"""How long an apply that is under way is waited for."""


def run(context: JobContext) -> JobResult:
    """Compare the stack with its last good apply. A difference is a finding, not a failure of the job.

    Raises OpsError when nothing was applied yet.
    """
    # An `up` under way would look like drift all over.
    with at_work(context.layout, APPLY_SECONDS):
        pass
    report = drift.drift(context.history)
    for finding in report.findings:
        context.tell(f"{finding.kind} {finding.name or '-'} {finding.what}")
    counts = Counter(finding.kind for finding in report.findings)
    samples = (
        *(Sample("techsapo_drift_findings", counts[kind], {"kind": kind}) for kind in get_args(drift.Kind)),
        *(
            Sample("techsapo_service_replaced", int(name in report.replaced), {"service": name})
            for name in report.services
        ),
        *_data(context),
    )
    if not report.findings:
        return JobResult(msg("as applied by @{id}", id=report.against.id), samples)
    return JobResult(
        msg("{count} differ from @{id}", count=len(report.findings), id=report.against.id), samples
    )


def _data(context: JobContext) -> Iterator[Sample]:
    """What data is there, and what is gone; nothing where the spec can't be read."""
    try:
        stack = context.stack()
        lost = {each.service: each for each in lost_data(stack.topology, stack.engine, stack.topology.engine)}
        note_data(stack, new=False)
        if unnoted_data(stack):
            with at_work(context.layout, APPLY_SECONDS):
                note_unnoted(stack)
        known = DataNote(stack.layout, stack.topology.engine).known()
    except OpsError as error:
        context.tell(f"data was not looked for: {error.message}")
        return
    for each in lost.values():
        context.tell(str(each))
    for name in known:
        if stack.topology.find(name) is not None:
            yield Sample("techsapo_data_missing", int(name in lost), {"service": name})
