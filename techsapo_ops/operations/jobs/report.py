"""The job `report`: the week in a few lines, to whom `notifications.report` names."""

from __future__ import annotations

from datetime import datetime

from techsapo_ops.messages import msg
from techsapo_ops.operations.jobs import JobContext
from techsapo_ops.operations.report.report import report_of
from techsapo_ops.operations.report.sending import NOBODY, send_report, targets
from techsapo_ops.schedule.job import JobResult

WAITS = (30.0, 120.0)
"""Seconds before each new try. A new try of the whole job would take what may have arrived for well."""


def run(context: JobContext) -> JobResult:
    """Make the report and send it. A receiver that does not take it keeps nobody else from it."""
    stack = context.stack()
    report = report_of(stack, datetime.now().astimezone())
    for line in report.page.splitlines():
        context.tell(line)
    to = targets(stack.spec)
    if not to:
        # Nobody asked for it to arrive: that is no failure for somebody to be woken by.
        context.tell(NOBODY)
        return JobResult(msg("made, but it reaches no one"))
    done = send_report(context.layout, report, to)
    for wait in WAITS:
        again = tuple(sent.target for sent in done if sent.outcome == "failed")
        if not again:
            break
        context.tell(f"again in {wait:g} s: {'; '.join(str(s) for s in done if s.target in again)}")
        stack.pause(wait)
        rest = tuple(sent for sent in done if sent.target not in again)
        done = rest + send_report(context.layout, report, again)
    for sent in done:
        context.tell(str(sent))
    failed = [sent for sent in done if not sent.ok]
    if failed:
        return JobResult("; ".join(map(str, failed)), exit_code=1)
    return JobResult(f"{report.week}: {', '.join(f'{s.target.path} {s.outcome}' for s in done)}")
