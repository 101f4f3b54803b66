"""redis.conf."""

from __future__ import annotations

import re
import shlex
from typing import Any

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.redis.accounts import (
    ACCOUNTS_FOLDER,
    REPLICA,
    accounts_file,
    accounts_made,
    password_file,
    tls_options,
)
from techsapo_ops.spec.models.base import size_bytes
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.own_tls import ca_seen, certificate_seen
from techsapo_ops.stack.places import CONTAINER_CONFIG
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

REDIS_CONF = "redis/redis.conf"
REDIS_START = "redis/start.sh"
MIN_REPLICAS_MAX_LAG = 2
"""Seconds for which a master takes writes that no replica has heard: in them a cut may lose some."""
PROMOTION = 60
"""Seconds in which Sentinels promote a replica if they ever will: each try takes twice `failover-timeout`."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def redis_files(
    topology: Topology, templates: Templates, *, replicated: bool = False
) -> tuple[RenderedFile, ...]:
    """redis/redis.conf, with the password in it where there is one.

    `replicated`: it is the master of others, or one of these.
    """
    service, redis = topology.of_kind("redis")[0], topology.spec.redis
    password = redis.password.reveal() if redis.password is not None else None
    listens = topology.listens(service)
    accounts = accounts_file(topology.layout)
    inside = f"{CONTAINER_CONFIG}/{ACCOUNTS_FOLDER}/{accounts.name}"
    content = templates.render(
        "redis/redis.conf.j2",
        bind=listens.host,
        port=listens.port,
        protected=not topology.places.isolated,
        certificates=certificate_seen(topology, service.kind) if redis.tls else None,
        ca=ca_seen(topology, service.kind),
        accounts=topology.places.seen(accounts, inside) if accounts_made(topology) else None,
        user=redis.user,
        password=password,
        data=str(topology.data_dir(service)),
        maxmemory=size_bytes(redis.maxmemory),
        # One that was killed must come back with what it had confirmed.
        appendonly=redis.appendonly or replicated,
        several=replicated,
        max_lag=MIN_REPLICAS_MAX_LAG,
        copies=copies(topology),
        quote=redis_quote,
    )
    if accounts_made(topology) and not re.search(r"^\s*aclfile\s", content, re.MULTILINE):
        raise OpsError(
            msg("your template redis/redis.conf.j2 has no line `aclfile`, by which Redis knows its accounts"),
            msg(
                "take it over from the built-in one (`techsapo config templates diff`), or set "
                "`redis.accounts: false`"
            ),
        )
    secret = password is not None
    mode = 0o600 if secret else 0o644
    return (RenderedFile(REDIS_CONF, content, mode=mode, secret=secret, owner="redis"),)


def member_files(topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    """The same of one of several, and redis/start.sh."""
    service = topology.of_kind("redis")[0]
    script = templates.render(
        "redis/start.sh.j2",
        config=str(topology.config_dir() / REDIS_CONF),
        replica=REPLICA,
        replica_password=secret_of(topology, REPLICA),
        patience=PROMOTION,
        **shared_words(topology, service),
    )
    start = RenderedFile(REDIS_START, script, mode=0o755, owner="redis")
    return (*redis_files(topology, templates, replicated=True), start)


def copies(topology: Topology) -> int:
    """How many replicas must have a write before it counts: with the master, most of all."""
    return len(topology.machines) // 2


def secret_of(topology: Topology, account: str) -> str:
    """The file of an account's password, as a server of several sees it."""
    file = password_file(topology.layout, account)
    return str(topology.places.seen(file, topology.secret_path(file.name)))


def shared_words(topology: Topology, service: Service) -> dict[str, Any]:
    """What the start scripts of Redis and of its Sentinels are both told; `service` is one of either."""
    redis = topology.of_kind("redis")[0]
    return {
        "addresses": [machine.address for machine in topology.machines],
        "redis_port": redis.port,
        "sentinel_port": topology.of_kind("sentinel")[0].port,
        "port": service.port,
        "master": topology.spec.project,
        "most": copies(topology) + 1,
        "data": str(topology.data_dir(service)),
        "tls": tls_options(topology),
        "quote": shlex.quote,
    }


def redis_quote(text: str) -> str:
    """`text` as a double-quoted argument of redis.conf (sdssplitargs): any byte can be escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", escaped) + '"'
