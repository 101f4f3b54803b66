"""How nginx is, and whether the sign-in proxy answers it."""

from __future__ import annotations

import time

from techsapo_ops.messages import msg
from techsapo_ops.services.nginx.site import SIGN_IN_LOCATION
from techsapo_ops.services.probing import ask, part_of
from techsapo_ops.stack.health import HealthPart, PartStatus
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.service_facts import Probe
from techsapo_ops.stack.topology import Topology

_FAILED = 500
"""Statuses from here on are no answer to whether somebody signed in."""


def health_parts(topology: Topology, service: Service, timeout: float) -> tuple[HealthPart, ...]:
    """nginx itself and, where people sign in, the proxy that it asks about each page."""
    started = time.monotonic()
    itself = part_of(service, ask(topology, service, timeout))
    signing_in = topology.spec.app.auth.sign_in
    if signing_in is None or itself.failing:
        return (itself,)
    left = max(timeout - (time.monotonic() - started), 0.001)
    found = ask(topology, service, left, Probe("http", SIGN_IN_LOCATION))
    answers = found.status is not None and found.status < _FAILED
    detail = (
        msg("{address} answers nginx", address=signing_in.address)
        if answers
        else msg("{address} does not answer nginx: nobody can open a page", address=signing_in.address)
    )
    hint = (
        ""
        if answers
        else msg("start oauth2-proxy and read its log; its place is app.auth.sign_in.address in the spec")
    )
    name = "sign-in" if service.machine is None else f"sign-in {service.machine.name}"
    status = PartStatus.HEALTHY if answers else PartStatus.DEGRADED
    return (itself, HealthPart(name, "sign-in", status, detail, found.seconds, hint))
