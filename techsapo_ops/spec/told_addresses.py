"""Addresses that a process of the app is told on its command line, since it runs where they differ."""

from __future__ import annotations

from techsapo_ops.errors import OpsError
from techsapo_ops.spec.models import Spec


def seen_from_here(spec: Spec, redis: str | None, mysql: str | None) -> Spec:
    """`spec` with the addresses that a container has for them, where it is told any.

    The spec says where they listen or are published on the host, which is another place from inside.
    """
    changes: dict[str, object] = {}
    if redis is not None:
        changes["redis"] = spec.redis.model_copy(update=_address(redis))
    if mysql is not None and spec.mysql is not None:
        changes["mysql"] = spec.mysql.model_copy(update=_address(mysql))
    return spec.model_copy(update=changes) if changes else spec


def _address(text: str) -> dict[str, object]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise OpsError(f"{text!r} is not HOST:PORT", exit_code=2)
    return {"host": host, "port": int(port)}
