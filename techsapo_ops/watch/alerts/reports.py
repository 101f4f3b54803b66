"""A message of a job to whoever gets the weekly report."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from techsapo_ops.catalogue.translations import in_language
from techsapo_ops.jobs.job import JobContext, JobResult
from techsapo_ops.messages import msg
from techsapo_ops.services.alertmanager.configuration import REPORT, REPORT_RECEIVER
from techsapo_ops.services.monitoring import alertmanager_of
from techsapo_ops.watch.alerts.delivery import Synthetic, deliver

_WITHIN = 300.0
"""Seconds in which Alertmanager tries again what a receiver refuses."""


def send_report(context: JobContext, title: str, lines: Iterable[str]) -> JobResult:
    """Tell `title` and `lines` in the stack's language, and send them. Raises OpsError where a receiver did
    not take them.
    """
    stack, now = context.stack(), datetime.now(UTC)
    title, *rest = (in_language(line, stack.spec.locale) for line in (title, *lines))
    for line in (title, *rest):
        context.tell(line)
    server = alertmanager_of(stack)
    if server is None or not stack.spec.notifications.info:
        # Nobody asked for it to arrive: that is no failure for somebody to be woken by.
        return JobResult(msg("the report was created, but no receiver is set"))
    # Each is an alert of its own: the same one would wait for Alertmanager's repeat_interval.
    labels = {"alertname": REPORT, "severity": "info", "made": f"{now:%Y-%m-%dT%H:%M:%S}"}
    report = Synthetic(REPORT_RECEIVER, labels, {"summary": title, "description": "\n".join(rest)})
    sent = deliver(stack, server, report, within=_WITHIN)
    return JobResult(msg("sent via {integrations}", integrations=", ".join(sent.integrations)))
