"""What Redis and its clients are given for TLS."""

from __future__ import annotations

from pathlib import Path

from techsapo_ops.adapters.address import reachable_host
from techsapo_ops.stack.container import Bind
from techsapo_ops.stack.kind import OwnTls
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.places import CONTAINER_CONFIG
from techsapo_ops.stack.topology import Topology


def own_tls(topology: Topology) -> OwnTls:
    """Its CA, its certificate, and what clients call it by: on this host, by its address, in containers."""
    layout, service = topology.layout, topology.of_kind("redis")[0]
    names = (service.name, "localhost", "127.0.0.1", "::1", reachable_host(topology.spec.redis.host))
    return OwnTls("Redis", _folder(layout), certificate(layout), ca_file(layout), tuple(dict.fromkeys(names)))


def _folder(layout: Layout) -> Path:
    return layout.keys / "redis-tls"


def certificate(layout: Layout) -> Path:
    """Folder with fullchain.pem and privkey.pem of the stack's Redis."""
    return _folder(layout) / "server"


def ca_file(layout: Layout) -> Path:
    """The CA certificate that clients of the stack's Redis trust; alone in a folder for containers."""
    return _folder(layout) / "trust" / "ca.pem"


def certificate_seen(topology: Topology) -> Path:
    """Folder with fullchain.pem and privkey.pem of Redis, as Redis sees it."""
    return topology.places.seen(certificate(topology.layout), f"{CONTAINER_CONFIG}/redis-tls")


def ca_seen(topology: Topology) -> Path:
    """The CA certificate that clients of Redis trust, as Redis and its clients in the stack see it."""
    return topology.places.seen(ca_file(topology.layout), f"{CONTAINER_CONFIG}/redis-ca/ca.pem")


def certificate_bind(topology: Topology) -> tuple[Bind, ...]:
    """The folder of its certificate, for the container of Redis itself; nothing without TLS."""
    if not topology.spec.redis.tls:
        return ()
    return (Bind(certificate(topology.layout), str(certificate_seen(topology))),)


def ca_bind(topology: Topology) -> tuple[Bind, ...]:
    """The CA that its clients trust, for their containers; nothing without TLS or without a Redis."""
    if not topology.spec.redis.tls or not topology.has("redis"):
        return ()
    return (Bind(ca_file(topology.layout).parent, str(ca_seen(topology).parent)),)


def told_ca(topology: Topology) -> tuple[str, ...]:
    """`--redis-ca FILE` for the app, where its Redis speaks TLS."""
    speaks = topology.spec.redis.tls and topology.has("redis")
    return ("--redis-ca", str(ca_seen(topology))) if speaks else ()
