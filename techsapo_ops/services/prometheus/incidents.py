"""When an incident began, where several Prometheis see it: all have to say the same moment.

Each evaluates for itself, a scrape apart at times. An acknowledgement names an incident by its beginning, and
so do the alerts that are sent on: with two of them nobody would have the other one. So each reads the others'
by their /federate, and the earliest one holds for all, 15 to 30 s after the alert. Of three the same series
comes from two others: they differ by REPLICA, which /federate adds.

https://prometheus.io/docs/prometheus/latest/federation/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from techsapo_ops.catalogue.series import INCIDENT_SINCE, OTHERS_SINCE
from techsapo_ops.services.web_login import basic_auth
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

INCIDENTS = "techsapo-incidents"
"""Name of the scrape job by which one Prometheus hears of the others' incidents."""
REPLICA = "replica"
"""Label by which the samples of one of several Prometheis differ from the others'; no alert carries it."""
_OWN = f"last_over_time({INCIDENT_SINCE}[10m])"


def with_others(expr: str) -> str:
    """The rule of INCIDENT_SINCE, with what the other Prometheis say of the same series."""
    others = f"min without ({REPLICA}) (last_over_time({OTHERS_SINCE}[10m]))"
    return expr.replace(_OWN, f"({_OWN} < {others} or {others} or {_OWN})")


def incident_jobs(topology: Topology, service: Service) -> Iterator[dict[str, Any]]:
    """The scrape job of `service` that reads the others; none where it is alone."""
    others = [other for other in topology.of_kind("prometheus") if other.name != service.name]
    if others:
        yield {
            "name": INCIDENTS,
            "path": "/federate",
            "scheme": "http",
            "login": basic_auth(topology, "prometheus", "prometheus"),
            "federated": INCIDENT_SINCE,
            "renamed": OTHERS_SINCE,
            "targets": [
                {
                    "address": str(topology.address(other, Viewpoint.SERVICE)),
                    "instance": other.name,
                    "labels": {},
                }
                for other in others
            ],
        }
