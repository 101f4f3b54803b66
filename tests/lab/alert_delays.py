"""How long it takes from a cause to its notification, with the durations of a spec that changes none."""

from __future__ import annotations

import re
from pathlib import Path

from machines_spec import machines_topology
from monitoring_stack import spec_of, topology_of

from techsapo_ops.catalogue.alerts import Alert, alerts
from techsapo_ops.services.alertmanager.routes import routes
from techsapo_ops.services.prometheus.alert_rules import spoken
from techsapo_ops.spec.models.base import seconds

_TOPOLOGY = topology_of(spec_of(notifications={}), Path("/srv/techsapo"))
_MACHINES = machines_topology()
_ROUTES = [(topology.spec, list(routes(topology))) for topology in (_TOPOLOGY, _MACHINES)]


def at_most(alert: Alert) -> float:
    """Seconds: a scrape, an evaluation, the alert's `for`, and how long its group waits.

    What one does not take Alertmanager tries again for its group's interval, before it counts as failed.
    """
    spec, ways = _ROUTES[alert.machines]
    prometheus, waits = spec.monitoring.prometheus, spec.monitoring.alertmanager.group_wait
    for route in ways:
        names = route["matchers"][0].removeprefix('alertname=~"').removesuffix('"')
        if re.fullmatch(names, alert.name):
            waits = route.get("group_wait", waits)
    tried = spec.monitoring.alertmanager.group_interval if alert.name == "NotificationsFailing" else "0s"
    return sum(
        map(seconds, (prometheus.scrape_interval, prometheus.scrape_interval, alert.for_, waits, tried))
    )


def rows(locale: str, *, machines: bool = False) -> list[str]:
    """The table of docs/alerts.md: each alert but Watchdog, by how long it takes at most.

    `machines`: that of docs/three-machines.md, of those on several machines alone.
    """
    by_time: dict[float, list[str]] = {}
    for alert in alerts().values():
        if alert.name != "Watchdog" and alert.machines == machines:
            by_time.setdefault(at_most(alert), []).append(alert.name)
    return [
        f"| {spoken(time, locale)} | {', '.join(sorted(names))} |" for time, names in sorted(by_time.items())
    ]
