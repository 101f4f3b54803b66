"""The job `drift`: findings become a metric, and DriftFound fires on it."""

from __future__ import annotations

from collections import Counter
from typing import get_args

from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.adapters.textfile import Sample
from techsapo_ops.operations.apply import drift
from techsapo_ops.operations.jobs import JobContext
from techsapo_ops.schedule.job import JobResult

APPLY_SECONDS = 240.0
"""How long an apply that is under way is waited for."""


def run(context: JobContext) -> JobResult:
    """Compare the stack with its last good apply. A difference is a finding, not a failure of the job.

    Raises OpsError when nothing was applied yet.
    """
    # An `up` under way would look like drift all over.
    with exclusive(context.layout.state / "lock", wait=APPLY_SECONDS):
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
    )
    if not report.findings:
        return JobResult(f"as applied by @{report.against.id}", samples)
    return JobResult(f"{len(report.findings)} differ from @{report.against.id}", samples)
