"""Which Redis the stores share what they keep in."""

from __future__ import annotations

from pathlib import Path

from techsapo_ops.adapters.redis_link import RedisServer
from techsapo_ops.spec.models.data import Redis


def redis_server(spec: Redis, ca: Path | None = None) -> RedisServer | None:
    """The stack's Redis, whose certificate `ca` has signed where it speaks TLS; None where it runs none."""
    if not spec.enabled:
        return None
    password = spec.password.reveal() if spec.password is not None else None
    return RedisServer(spec.host, spec.port, spec.user, password, spec.tls, ca)
