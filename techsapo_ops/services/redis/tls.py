"""What Redis and its clients are given for TLS."""

from __future__ import annotations

from techsapo_ops.stack.container import Bind
from techsapo_ops.stack.topology import Topology


def certificate_bind(topology: Topology) -> tuple[Bind, ...]:
    """The folder of its certificate, for the container of Redis itself; nothing without TLS."""
    if not topology.spec.redis.tls:
        return ()
    return (Bind(topology.layout.redis_certificate, str(topology.redis_certificate_dir())),)


def ca_bind(topology: Topology) -> tuple[Bind, ...]:
    """The CA that its clients trust, for their containers; nothing without TLS or without a Redis."""
    if not topology.spec.redis.tls or not topology.has("redis"):
        return ()
    return (Bind(topology.layout.redis_ca.parent, str(topology.redis_ca().parent)),)


def told_ca(topology: Topology) -> tuple[str, ...]:
    """`--redis-ca FILE` for the app, where its Redis speaks TLS."""
    speaks = topology.spec.redis.tls and topology.has("redis")
    return ("--redis-ca", str(topology.redis_ca())) if speaks else ()
