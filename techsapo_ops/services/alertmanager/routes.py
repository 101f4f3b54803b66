"""Which alert goes to which receiver, with what it is grouped, and how long it waits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from techsapo_ops.catalogue.alerts import NOTIFICATIONS_FAILING, PAGE, SEVERITIES, Alert, Priority
from techsapo_ops.catalogue.series import NEXT
from techsapo_ops.services.prometheus.alert_rules import alerts_of, duration_text, for_of
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.stack.topology import Topology

BUSINESS_HOURS = "business-hours"
"""Name of the time interval of `notifications.business_hours`."""
PATIENT: Priority = "P2"
"""Alerts of this priority wait for business hours, unless they are critical or page."""
GROUP_BY = ("alertname", "service")
TEST_LABEL = "techsapo_test"
"""Label that tells a synthetic alert from a real one; its value is new each time."""
PAGE_FAILING = "page-failing"
"""Receiver of the news that pages can't be delivered: those who are paged, and one of another kind."""
ONCE = {"repeat_interval": "5d"}
"""For the record: one message. Alertmanager forgets after so long what it has sent (--data.retention)."""
QUICK_INTERVAL = "30s"
"""Longest time until a group with an urgent alert is sent again that changed."""

Mute = tuple[str, tuple[str, ...], list[str]]
"""An alert, the labels by which it mutes others, and those others."""


def routes(topology: Topology) -> list[dict[str, Any]]:
    """Where alerts go, first match first: what nobody acknowledged, which is as severe as any, by name where
    they are grouped or wait otherwise than the rest, what wakes people whatever its severity, and patient
    ones of a severity before its rest.
    """
    spec = topology.spec
    causes: dict[str, list[Alert]] = {}
    for cause, _, effects in mutes(topology):
        for effect in effects:
            # A milder one tells of what somebody does on purpose, and fires before anything follows from it.
            if not _milder(alerts_of(spec)[cause], alerts_of(spec)[effect]):
                causes.setdefault(effect, []).append(alerts_of(spec)[cause])
    own: dict[str, dict[str, Any]] = {}
    for alert in alerts_of(spec).values():
        if timing := _timing(spec, alert, causes.get(alert.name, ())):
            hours = {} if alert.page else _hours(spec, alert.severity, alert.priority)
            receiver = receiver_of(spec, alert)
            wanted = {"receiver": receiver, **hours, **timing, **(ONCE if receiver == "info" else {})}
            route = own.setdefault(repr(wanted), {"matchers": [], **wanted})
            route["matchers"].append(alert.name)
    children = list(_next(spec))
    children += [
        {**route, "matchers": [f'alertname=~"{"|".join(route["matchers"])}"']} for route in own.values()
    ]
    children.append({"receiver": PAGE, "matchers": [f'{PAGE}="true"']})
    for severity in SEVERITIES:
        matcher = f'severity="{severity}"'
        route = {"receiver": severity, **(ONCE if severity == "info" else {})}
        if hours := _hours(spec, severity, PATIENT):
            children.append({**route, "matchers": [matcher, f'priority="{PATIENT}"'], **hours})
        children.append({**route, "matchers": [matcher]})
    return children


def receiver_of(spec: Spec, alert: Alert) -> str:
    """The name of Alertmanager's receiver that `alert` goes to."""
    if not alert.page:
        return alert.severity
    other = alert.name == NOTIFICATIONS_FAILING and spec.notifications.other_kind is not None
    return PAGE_FAILING if other and spec.notifications.paged else PAGE


def mutes(topology: Topology) -> list[Mute]:
    """Alerts that this stack can have and that mute others of it."""
    catalogue = alerts_of(topology.spec)
    effects: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for alert in catalogue.values():
        for cause, labels in alert.muted_by.items():
            if cause in catalogue and _can_fire(topology, alert) and _can_fire(topology, catalogue[cause]):
                effects.setdefault((cause, labels), []).append(alert.name)
    return [(cause, labels, names) for (cause, labels), names in effects.items()]


def _milder(alert: Alert, other: Alert) -> bool:
    return SEVERITIES.index(alert.severity) > SEVERITIES.index(other.severity)


def _next(spec: Spec) -> Iterator[dict[str, Any]]:
    apart = {label for alert in alerts_of(spec).values() for label in alert.apart}
    for number, _ in enumerate(spec.notifications.next):
        wanted = {"matchers": [f'{NEXT}="{number}"'], "group_by": [*GROUP_BY, *sorted(apart)]}
        yield {"receiver": f"next.{number}", **wanted, "group_wait": "0s"}


def _timing(spec: Spec, alert: Alert, causes: Sequence[Alert]) -> dict[str, Any]:
    """How the alert is grouped and sent, where that is not as the spec says for all."""
    settings = spec.monitoring.alertmanager
    urgent = alert.page or (alert.severity == "critical" and bool(alert.apart))
    timing: dict[str, Any] = {}
    if alert.apart:
        timing["group_by"] = [*GROUP_BY, *alert.apart]
    patience = _patience(spec, alert, causes)
    if causes and patience > seconds(settings.group_wait):
        timing["group_wait"] = duration_text(patience)
    elif urgent and not causes:
        timing["group_wait"] = "0s"
    if urgent and seconds(settings.group_interval) > seconds(QUICK_INTERVAL):
        timing["group_interval"] = QUICK_INTERVAL
    return timing


def _patience(spec: Spec, alert: Alert, causes: Sequence[Alert]) -> float:
    """Seconds from when `alert` fires until each of `causes` would fire, too.

    A cause may be seen a scrape and an evaluation later than its effect, and have to hold for longer. One
    that the spec makes wait for very long holds nothing back for more than a group's interval. On several
    machines one that holds for less than its effect does is waited for as much shorter.
    """
    every = seconds(spec.monitoring.prometheus.scrape_interval)
    seen = 2 * every

    def held(which: Alert) -> float:
        return math.ceil(seconds(for_of(spec, which)) / every) * every

    longest = max((held(cause) - held(alert) for cause in causes), default=0.0)
    most = seconds(spec.monitoring.alertmanager.group_interval)
    return max(alert.least_wait(seen), min(seen + longest, most))


def _hours(spec: Spec, severity: str, priority: Priority) -> dict[str, Any]:
    if spec.notifications.business_hours is None or severity == "critical" or priority != PATIENT:
        return {}
    return {"active_time_intervals": [BUSINESS_HOURS]}


def _can_fire(topology: Topology, alert: Alert) -> bool:
    settings = topology.spec.monitoring.alerts.get(alert.name)
    enabled = settings is None or settings.enabled
    kinds = {service.kind for service in topology.services}
    return enabled and alert.can_fire(kinds)
