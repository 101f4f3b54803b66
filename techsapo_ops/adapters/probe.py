"""Asks a service whether it is ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.http import Unreachable, basic_authorization, fetch, preload, within_the_stack
from techsapo_ops.adapters.questions import Deadline, os_reason
from techsapo_ops.messages import msg

_SHOWN = 200
_TCP = "tcp"


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe found: `seconds` is how long it took, `status` and `body` are of an HTTP answer."""

    ok: bool
    detail: str
    seconds: float
    body: bytes = b""
    status: int = 0
    wrong: bool = False
    """It is ready, and not what it should be among its peers, see stack.health."""
    sole: bool | None = None
    """Whether it has what one of its kind alone may have, see stack.health; None where there is no such."""


class Question(Protocol):
    """How a service's readiness is asked."""

    @property
    def kind(self) -> str:
        """http, tcp, or the name of a door that has `ready`."""
        ...

    @property
    def path(self) -> str:
        """What is asked for, for http."""
        ...


def probe(
    kind: Question,
    address: Address,
    *,
    timeout: float,
    user: str | None = None,
    password: str | None = None,
    ca: Path | None = None,
) -> ProbeResult:
    """Ask the service at `address` whether it is ready; over within `timeout` seconds.

    http wants a 2xx answer of `kind.path`, asked by basic authentication where there is a login, tcp a
    connection. Any other protocol is asked by `ready` of the door that is called after it (adapters.mysql),
    with the login, and by TLS where there is a `ca`. Never raises for what a peer does or fails to do: that
    is `ok=False` with a detail for the user.
    """
    if kind.kind == "http":
        headers = basic_authorization(user, password) if user is not None and password is not None else {}
        return _http(address.url(kind.path), timeout, headers)
    # The clock starts after the import: the first probe must not look slower than its peer is.
    door = import_module(f"techsapo_ops.adapters.{kind.kind}") if kind.kind != _TCP else None
    with Deadline(timeout) as deadline:
        try:
            if door is not None:
                trust = {"ca": ca} if ca is not None else {}
                ok, detail = door.ready(address, deadline, user=user, password=password, **trust)
            else:
                deadline.connect(address.host, address.port).close()
                ok, detail = True, msg("accepts connections")
        except OSError as error:
            ok, detail = False, os_reason(error) or str(error)
        if deadline.expired or detail == "timed out":
            ok, detail = False, msg("did not answer within {timeout:g} s", timeout=timeout)
        return ProbeResult(ok, detail, deadline.elapsed)


def _http(url: str, timeout: float, headers: Mapping[str, str]) -> ProbeResult:
    preload()
    with Deadline(timeout) as clock:
        try:
            answer = fetch(url, timeout=timeout, headers=headers, trust=within_the_stack(url))
        except Unreachable as error:
            return ProbeResult(False, error.reason, clock.elapsed)
    words = " ".join(answer.text[: 4 * _SHOWN].split())
    shown = words if len(words) <= _SHOWN else words[:_SHOWN] + "…"
    detail = (
        msg("HTTP {status}", status=answer.status)
        if answer.ok or not shown
        else msg("HTTP {status}: {shown}", status=answer.status, shown=shown)
    )
    return ProbeResult(answer.ok, detail, answer.seconds, answer.body, answer.status)
