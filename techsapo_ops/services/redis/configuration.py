"""redis.conf."""

from __future__ import annotations

import re

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.redis.accounts import ACCOUNTS_FOLDER, accounts_file, accounts_made
from techsapo_ops.spec.models.base import size_bytes
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.own_tls import ca_seen, certificate_seen
from techsapo_ops.stack.places import CONTAINER_CONFIG
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

REDIS_CONF = "redis/redis.conf"

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def redis_files(topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    """redis/redis.conf, with the password in it where there is one; nothing where there is no Redis."""
    service = topology.find("redis")
    if service is None:
        return ()
    redis = topology.spec.redis
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
        appendonly=redis.appendonly,
        quote=redis_quote,
    )
    if accounts_made(topology) and not re.search(r"^\s*aclfile\s", content, re.MULTILINE):
        raise OpsError(
            msg("your template redis/redis.conf.j2 has no line `aclfile`, by which Redis knows its accounts"),
            msg(
                "take it over from the built-in one (`techsapo templates diff`), or set "
                "`redis.accounts: false`"
            ),
        )
    secret = password is not None
    return (
        RenderedFile(REDIS_CONF, content, mode=0o600 if password else 0o644, secret=secret, owner="redis"),
    )


def redis_quote(text: str) -> str:
    """`text` as a double-quoted argument of redis.conf (sdssplitargs): any byte can be escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", escaped) + '"'
