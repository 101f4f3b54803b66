"""The job `report`: the last week, over Alertmanager, to `notifications.info`."""

from __future__ import annotations

from datetime import datetime

from techsapo_ops.catalogue.translations import in_language
from techsapo_ops.jobs.context import JobContext
from techsapo_ops.jobs.job import JobResult
from techsapo_ops.messages import msg
from techsapo_ops.services.alertmanager.configuration import REPORT, REPORT_RECEIVER
from techsapo_ops.services.monitoring import alertmanager_of
from techsapo_ops.watch.alerts.delivery import Synthetic, deliver
from techsapo_ops.watch.status.week import WEEK, week_of

_WITHIN = 300.0
"""Seconds in which Alertmanager tries again what a receiver refuses."""


def run(context: JobContext) -> JobResult:
    """Make the report and send it. Raises OpsError where a receiver did not take it."""
    stack, now = context.stack(), datetime.now().astimezone()
    week = week_of(stack, now - WEEK, now)
    title, *lines = (in_language(line, stack.spec.locale) for line in (week.title, *week.lines))
    for line in (title, *lines):
        context.tell(line)
    server = alertmanager_of(stack)
    if server is None or not stack.spec.notifications.info:
        # Nobody asked for it to arrive: that is no failure for somebody to be woken by.
        return JobResult(msg("made, but it reaches no one"))
    # Each is an alert of its own: the same one would wait for Alertmanager's repeat_interval.
    labels = {"alertname": REPORT, "severity": "info", "made": f"{now:%Y-%m-%dT%H:%M:%S}"}
    report = Synthetic(REPORT_RECEIVER, labels, {"summary": title, "description": "\n".join(lines)})
    sent = deliver(stack, server, report, within=_WITHIN)
    return JobResult(msg("sent by {integrations}", integrations=", ".join(sent.integrations)))
