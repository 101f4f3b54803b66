"""How each kind is asked how it is, where there is more to ask than its probe."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from techsapo_ops.services.app.health import app_parts
from techsapo_ops.services.app.kind import App
from techsapo_ops.services.probing import ask, part_of
from techsapo_ops.services.prometheus.health import prometheus_parts
from techsapo_ops.services.prometheus.kind import Prometheus
from techsapo_ops.stack.health import HealthPart
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

Check = Callable[[Topology, Service, float], tuple[HealthPart, ...]]
"""Asks a service, within so many seconds; raises nothing for what it finds."""
_OWN: Mapping[str, Check] = {App.facts.kind: app_parts, Prometheus.facts.kind: prometheus_parts}


def health_of(topology: Topology, service: Service, timeout: float) -> tuple[HealthPart, ...]:
    """`service` and what it tells of other things, asked from this host within `timeout` seconds."""
    check = _OWN.get(service.kind)
    if check is not None:
        return check(topology, service, timeout)
    return (part_of(service, ask(topology, service, timeout)),)
