"""How a service is, and what it tells of other things."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from techsapo_ops.services.probing import ask, part_of
from techsapo_ops.services.registry import kind_of
from techsapo_ops.stack.health import HealthPart
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

Check = Callable[[Topology, Service, float], tuple[HealthPart, ...]]
"""Asks a service, within so many seconds; raises nothing for what it finds."""


def health_of(topology: Topology, service: Service, timeout: float) -> tuple[HealthPart, ...]:
    """`service`, asked from this host within `timeout` seconds: by `health_parts` in the folder of its kind,
    where there is more to ask than its probe.
    """
    own = kind_of(service).beside("health")
    if own is not None:
        return cast(Check, own.health_parts)(topology, service, timeout)
    return (part_of(service, ask(topology, service, timeout)),)
