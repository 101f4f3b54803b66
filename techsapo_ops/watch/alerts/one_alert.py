"""All that is known of one alert: what it watches, whom it tells, what it does now, and who has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from techsapo_ops.adapters.alertmanager import Alertmanager, Silence
from techsapo_ops.adapters.http import Unreachable
from techsapo_ops.adapters.monitoring_server import ApiError
from techsapo_ops.adapters.prometheus import Prometheus
from techsapo_ops.catalogue.alerts import Alert
from techsapo_ops.catalogue.pages import Runbook, runbooks
from techsapo_ops.services.alertmanager.acknowledging import acknowledgements_of
from techsapo_ops.services.prometheus.alert_rules import runbook_url
from techsapo_ops.services.prometheus.scrape import own_commands
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.stack import Stack
from techsapo_ops.watch.alerts.firing import Listed, listed


@dataclass(frozen=True, slots=True)
class OneAlert:
    """`now` is its state, once for each that fires; `silences` are those that are about it alone or more.

    `receivers` are the kinds of those that it goes to, `runbook` its page with this stack's commands.
    `trouble` says why states are not known, `untold` why nobody is told.
    """

    alert: Alert
    rule: Mapping[str, Any]
    now: tuple[Listed, ...]
    silences: tuple[Silence, ...]
    receivers: tuple[str, ...]
    runbook: Runbook
    runbook_url: str
    trouble: str
    untold: str


def one_alert(
    stack: Stack, alert: Alert, prometheus: Prometheus | None, alertmanager: Alertmanager | None
) -> OneAlert:
    """What is known of `alert`. None stands for a server that the stack does not run."""
    alert = alert.of_stack(hosts=len(stack.spec.hosts))
    listing = listed(stack, prometheus, alertmanager)
    now = tuple(each for each in listing.alerts if each.alert.name == alert.name)
    return OneAlert(
        alert,
        now[0].rule,
        now,
        _silences(alert, now, alertmanager),
        _receivers(stack.spec, alert),
        runbooks()[alert.name].of_stack(own_commands(stack.topology), hosts=len(stack.spec.hosts)),
        runbook_url(stack.spec, alert),
        listing.trouble,
        listing.untold,
    )


def _receivers(spec: Spec, alert: Alert) -> tuple[str, ...]:
    if not spec.monitoring.alertmanager.enabled:
        return ()
    told = spec.notifications
    given = {"critical": told.critical, "warning": told.warning, "info": told.info}
    names = told.paged if alert.page else given[alert.severity]
    return tuple(receiver.kind for receiver in told.named(names))


def _silences(
    alert: Alert, now: tuple[Listed, ...], alertmanager: Alertmanager | None
) -> tuple[Silence, ...]:
    """Those that hold for it as it is now; where it does not fire, those that name it."""
    if alertmanager is None:
        return ()
    try:
        standing = [silence for silence in alertmanager.silences() if silence.state != "expired"]
    except (Unreachable, ApiError):  # `untold` says so
        return ()
    acknowledged = {each.id for each in acknowledgements_of(standing)}
    labels = [dict(each.labels) for each in now if each.labels] or [
        {"alertname": alert.name, "severity": alert.severity, "priority": alert.priority}
    ]
    return tuple(
        silence
        for silence in standing
        if silence.id not in acknowledged
        and any(all(matcher.holds(found) for matcher in silence.matchers) for found in labels)
    )
