"""What a Redis on each of several machines needs of the spec."""

from __future__ import annotations

from collections.abc import Iterator

from techsapo_ops.messages import msg
from techsapo_ops.spec.findings import Context, Finding
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.problems import Path

_MACHINES: Path = ("hosts",)


def redis_of_machines(spec: Spec, _: Context) -> Iterator[Finding]:
    """It is reached over a network: by TLS, and with accounts whose passwords are made."""
    redis = spec.redis
    if not spec.hosts or not redis.enabled:
        return
    if not redis.tls:
        yield Finding(
            ("redis", "tls"),
            msg("with hosts, Redis speaks TLS: they talk over a network"),
            msg("remove it"),
            uses=(_MACHINES,),
        )
    for field in ("user", "password", "accounts"):
        value = getattr(redis, field)
        if value not in (None, True):
            yield Finding(
                ("redis", field),
                msg("with hosts, Redis has an account for each client and for its replicas"),
                msg("remove it: `techsapo config secrets list` shows the accounts"),
                uses=(_MACHINES,),
            )
