"""sentinel.conf, and the script that starts Sentinel with it."""

from __future__ import annotations

from techsapo_ops.services.redis.accounts import SENTINEL, sentinel_accounts_file
from techsapo_ops.services.redis.configuration import redis_quote, secret_of, shared_words
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.own_tls import ca_seen, certificate_seen
from techsapo_ops.stack.places import CONTAINER_CONFIG
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

CONF = "sentinel/sentinel.conf"
START = "sentinel/start.sh"
DOWN_AFTER = 1000
"""Milliseconds without an answer after which a Redis is taken for lost. Sentinels then ask the replicas once
a second how much they have: with less they would compare what was so before the master was lost."""
FAILOVER_TIMEOUT = 6000
"""Milliseconds for each step of a failover."""


def sentinel_files(topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    """sentinel/sentinel.conf and sentinel/start.sh."""
    service = topology.of_kind("sentinel")[0]
    accounts = sentinel_accounts_file(topology.layout)
    inside = f"{CONTAINER_CONFIG}/{accounts.parent.name}/{accounts.name}"
    conf = templates.render(
        "sentinel/sentinel.conf.j2",
        port=service.port,
        certificates=certificate_seen(topology, service.kind),
        ca=ca_seen(topology, service.kind),
        accounts=topology.places.seen(accounts, inside),
        quote=redis_quote,
    )
    script = templates.render(
        "sentinel/start.sh.j2",
        config=str(topology.config_dir() / CONF),
        sentinel=SENTINEL,
        sentinel_password=secret_of(topology, SENTINEL),
        settings={
            "down-after-milliseconds": DOWN_AFTER,
            "failover-timeout": FAILOVER_TIMEOUT,
            "parallel-syncs": len(topology.machines) - 1,
        },
        **shared_words(topology, service),
    )
    return (
        RenderedFile(CONF, conf, owner=service.kind),
        RenderedFile(START, script, mode=0o755, owner=service.kind),
    )
