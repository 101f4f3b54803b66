"""Where simulated requests go in: the front of the stack, as users come to it."""

from __future__ import annotations

import ipaddress
import secrets
from dataclasses import dataclass, field, replace
from typing import Any

import psutil

from techsapo_ops.adapters.address import Address, reachable_host
from techsapo_ops.adapters.files import read_text
from techsapo_ops.adapters.tls_trust import SYSTEM, Trust
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.stack import Stack


def fresh_run() -> str:
    """The name of a new run."""
    return secrets.token_hex(4)


@dataclass(frozen=True, slots=True)
class Load:
    """Keyed POSTs to `url` (nginx, or the app where none runs), `rate` a second for at most `seconds`.

    `key` is the app's: it proves that they are a drill's. A POST takes the app `work` seconds. One that gets
    no answer within `timeout` seconds, or 502, 503 or 504, is sent once more after `again_after` seconds.
    """

    url: str
    key: Secret = field(repr=False)
    rate: float = 10.0
    seconds: float = 60.0
    again_after: float = 0.5
    work: float = 0.3
    timeout: float = 10.0
    trust: Trust = SYSTEM
    run: str = field(default_factory=fresh_run)

    @property
    def prefix(self) -> str:
        """How the id of each of its requests begins."""
        return f"drill-{self.run}-"


def front(spec: Spec, machine: str = "") -> str:
    """The URL at which this host reaches nginx, or the app where none runs.

    Of several hosts that of the address they share; without one, that of `machine`, or else of the first.
    """
    if not spec.runs_nginx:
        return Address(reachable_host(spec.app.host), spec.app.resolved_instances[0].port).url()
    tls = spec.served_certificate is not None
    port = spec.nginx.tls_listen if tls else spec.nginx.listen
    return Address(_host(spec, machine), port).url(scheme="https" if tls else "http")


def _host(spec: Spec, machine: str) -> str:
    if not spec.hosts:
        return reachable_host(spec.nginx.host)
    if spec.floating_address is not None:
        return str(ipaddress.ip_interface(spec.floating_address).ip)
    return spec.hosts[machine or next(iter(spec.hosts))].address


def load_of(stack: Stack, machine: str = "", **changed: Any) -> Load:
    """Traffic to the front of `stack`, as Load has it but for what is `changed`; `machine` as `front` has it.

    Raises OpsError where this user can't read the app's key, which proves that it is a drill.
    """
    path = stack.layout.app_key
    if not path.exists():
        raise OpsError(
            msg("there is no {path}", path=path), msg("`techsapo up` makes it and starts the stack")
        )
    key = Secret(read_text(path, what=msg("key of the app")).strip())
    own = {each.address for found in psutil.net_if_addrs().values() for each in found}
    here = frozenset({reachable_host(host) for host in stack.spec.exposed} & own)
    if stack.spec.hosts:
        here |= {_host(stack.spec, machine)}  # where the very certificate is shown that the stack deployed
    trust = Trust(own=stack.layout.certs, here=here)
    return replace(Load(front(stack.spec, machine).rstrip("/"), key, trust=trust), **changed)
