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

_ANSWERS = (200, 202, 204, 401)
"""Whether somebody signed in: yes or no. Of any other status, such as the 404 of another service or a
redirect, nginx makes a failure."""
_FAILED = 500
"""From here on nginx itself says that there is no answer, or the proxy that it has none."""


def health_parts(topology: Topology, service: Service, timeout: float) -> tuple[HealthPart, ...]:
    """nginx itself and, where people sign in, the proxy that it asks about each page."""
    started = time.monotonic()
    itself = part_of(service, ask(topology, service, timeout))
    signing_in = topology.spec.app.auth.sign_in
    if signing_in is None or itself.failing:
        return (itself,)
    left = max(timeout - (time.monotonic() - started), 0.001)
    found = ask(topology, service, left, Probe("http", SIGN_IN_LOCATION))
    answers, address = found.status in _ANSWERS, signing_in.address
    if answers:
        detail = msg("{address} answers nginx", address=address)
    elif not found.status or found.status >= _FAILED:
        detail = msg("{address} does not answer nginx: nobody can open a page", address=address)
    else:
        detail = msg(
            "{address} answers nginx with {status}, not whether somebody signed in: nobody can open a page",
            address=address,
            status=found.status,
        )
    hint = (
        ""
        if answers
        else msg("start oauth2-proxy and read its log; its place is app.auth.sign_in.address in the spec")
    )
    name = service.machine.named("sign-in", by=" ")
    status = PartStatus.HEALTHY if answers else PartStatus.DEGRADED
    return (itself, HealthPart(name, "sign-in", status, detail, found.seconds, hint))
