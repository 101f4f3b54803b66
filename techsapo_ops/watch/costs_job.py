"""The job `costs`: what the last 30 days cost becomes metrics, and a report in the run's log."""

from __future__ import annotations

from techsapo_ops.adapters.textfile import Sample
from techsapo_ops.jobs.context import JobContext
from techsapo_ops.jobs.job import JobResult
from techsapo_ops.messages import msg
from techsapo_ops.watch.costs import costs

DAYS = 30


def run(context: JobContext) -> JobResult:
    """Sum up the audit log. Raises OpsError when it can't be read."""
    stack = context.stack()
    report = costs(stack, DAYS, "provider")
    for row in report.rows:
        context.tell(f"{row.name} ${row.cost_usd:.6f} in {row.calls} calls, {row.failed} failed")
    context.tell(f"budget ${stack.spec.budget.monthly_usd:.2f} a month")
    samples = [Sample("techsapo_costs_usd", row.cost_usd, {"provider": row.name}) for row in report.rows]
    samples.append(Sample("techsapo_costs_requests", report.requests))
    return JobResult(
        msg(
            "${total_usd:.6f} for {requests} requests in {days} days",
            total_usd=report.total_usd,
            requests=report.requests,
            days=DAYS,
        ),
        tuple(samples),
    )
