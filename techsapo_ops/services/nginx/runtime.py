"""What is done with nginx: how it is, with the sign-in proxy that it asks, and what it has loaded."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from typing_extensions import override

from techsapo_ops.adapters.http import fetch
from techsapo_ops.messages import msg
from techsapo_ops.services.loaded_configuration import TIMEOUT, Loaded, Server
from techsapo_ops.services.nginx.site import (
    CONFIG_LOCATION,
    NGINX_CONF,
    SIGN_IN_LOCATION,
    config_digest,
)
from techsapo_ops.services.probing import ask, part_of
from techsapo_ops.services.runtime import Runtime
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.health import HealthPart, PartStatus
from techsapo_ops.stack.service import Probe, Service
from techsapo_ops.stack.topology import Topology

_ANSWERS = (200, 202, 204, 401)
"""Whether somebody signed in: yes or no. Of any other status, such as the 404 of another service or a
redirect, nginx makes a failure."""
_FAILED = 500
"""From here on nginx itself says that there is no answer, or the proxy that it has none."""
_SILENT_REFUSAL = 5.0
"""Seconds: it reloads as quickly as the others, but never says that it refused."""


def _differs(server: Server, prefix: str, files: Mapping[str, RenderedFile]) -> str:
    wanted = config_digest(files[prefix + NGINX_CONF])
    if wanted is None:
        return ""  # a template of the user's own without the location: there is nothing to ask
    answer = fetch(f"{server.url}{CONFIG_LOCATION}", timeout=TIMEOUT)
    runs = answer.text.strip() if answer.ok else f"HTTP {answer.status}"
    return "" if runs == wanted else f"{CONFIG_LOCATION} says {runs[:16]} instead of {wanted[:16]}"


class NginxRuntime(Runtime):
    """It reads the keys of all certificates, and serves the digest of its own configuration."""

    loaded = Loaded(_differs, patience=_SILENT_REFUSAL)

    @override
    def readable(self, topology: Topology) -> Iterable[Path]:
        return topology.layout.certs.glob("*/privkey.pem")

    @override
    def health_parts(self, topology: Topology, service: Service, timeout: float) -> tuple[HealthPart, ...]:
        # nginx itself and, where people sign in, the proxy that it asks about each page.
        started = time.monotonic()
        itself = part_of(service, ask(topology, service, timeout))
        signing_in = topology.spec.app.auth.sign_in
        if signing_in is None or itself.failing:
            return (itself,)
        left = max(timeout - (time.monotonic() - started), 0.001)
        reply = ask(topology, service, left, Probe("http", SIGN_IN_LOCATION))
        answers, address = reply.status in _ANSWERS, signing_in.address
        if answers:
            detail = msg("the sign-in proxy {address} answers nginx", address=address)
        elif not reply.status or reply.status >= _FAILED:
            detail = msg(
                "the sign-in proxy {address} does not answer nginx: nobody can open a page", address=address
            )
        else:
            detail = msg(
                "the sign-in proxy {address} answers nginx with {status}: nobody can open a page",
                address=address,
                status=reply.status,
            )
        hint = (
            ""
            if answers
            else msg(
                "start oauth2-proxy and read its log; the address of oauth2-proxy is "
                "app.auth.sign_in.address in the spec"
            )
        )
        name = service.machine.named("sign-in", by=" ")
        status = PartStatus.HEALTHY if answers else PartStatus.DEGRADED
        return (itself, HealthPart(name, "sign-in", status, detail, reply.seconds, hint))


RUNTIME = NginxRuntime()
