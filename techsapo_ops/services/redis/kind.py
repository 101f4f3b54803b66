"""Redis: cache, budgets and limits that the app's instances share."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.kind import LOOPBACK, Kind, Wanted, executable
from techsapo_ops.stack.places import CONTAINER_CONFIG
from techsapo_ops.stack.service import Probe, ServiceFacts

if TYPE_CHECKING:
    from techsapo_ops.adapters.address import Address
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.container import Bind, Container
    from techsapo_ops.stack.desired import Program, RenderedFile
    from techsapo_ops.stack.places import Places
    from techsapo_ops.stack.secrets import StoredSecret
    from techsapo_ops.stack.service import Login, Service
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology


REDIS_CONF = "redis/redis.conf"
REDIS_START = "redis/start.sh"
MIN_REPLICAS_MAX_LAG = 2
"""Seconds for which a master takes writes that no replica has heard: in them a cut may lose some."""
PROMOTION = 60
"""Seconds in which Sentinels promote a replica if they ever will: each try takes twice `failover-timeout`."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MEGABYTE = 1024**2


class Redis(Kind):
    """redis-server."""

    facts = ServiceFacts(
        kind="redis",
        title="Redis",
        binary="redis-server",
        package="redis-server",
        image="redis:8.4-alpine",
        port=6379,
        user="redis",
        uid=999,
        data=True,
        probe=Probe("redis"),
        on_machine=True,
    )
    networks = ("data",)
    reads = ("redis/",)
    retitled = ""  # its address stands there instead
    port_setting = "redis.port"
    scheme = "redis"
    data_files = ("appendonlydir", "dump.rdb")
    programs = ("redis-cli",)

    def instances(self, spec: Spec, places: Places) -> Iterable[Wanted]:  # noqa: ARG002 - Kind's signature
        """One, unless the spec turns it off."""
        if spec.redis.enabled:
            yield Wanted(self.name, spec.redis.host, spec.redis.port)

    def files(self, topology: Topology, templates: Templates) -> Iterable[RenderedFile]:
        """redis.conf."""
        return redis_files(topology, templates)

    def stored_secrets(self, topology: Topology) -> Iterable[StoredSecret]:
        """Those of its accounts, or the one that every client uses."""
        from techsapo_ops.services.redis.accounts import stored_secrets

        return stored_secrets(topology)

    def login(self, topology: Topology) -> Login:
        """The operator's, or what every client uses."""
        from techsapo_ops.services.redis.accounts import OPERATOR, accounts_made, password_file
        from techsapo_ops.stack.service import Login

        if accounts_made(topology):
            return Login(OPERATOR, None, password_file(topology.layout, OPERATOR), "NOAUTH")
        return Login(topology.spec.redis.user, topology.spec.redis.password)

    def notes(self, topology: Topology) -> Iterable[str]:
        """What is used in its place."""
        if not topology.has(self.name):
            why = "" if topology.spec.redis.enabled else msg(" (redis.enabled: false)")
            yield msg("cache: in each app's own memory, because there is no Redis{why}", why=why)

    def program(self, topology: Topology, service: Service) -> Program:
        """redis-server on its redis.conf."""
        from techsapo_ops.stack.desired import Program

        return Program(
            service.name,
            (executable(service), str(topology.config_dir() / REDIS_CONF)),
            topology.data_dir(service),
            user=service.user,
            stop_seconds=30,
            config=self.reads,
        )

    def container(self, topology: Topology, service: Service) -> Container:
        """The same, with memory for a snapshot."""
        from techsapo_ops.adapters.address import Address
        from techsapo_ops.spec.models.base import size_bytes
        from techsapo_ops.stack.container import Container

        # Twice the limit of the data: a snapshot may copy every page that is written meanwhile.
        memory = 2 * size_bytes(topology.spec.redis.maxmemory) // _MEGABYTE + 64
        return Container(
            command=("redis-server", str(topology.config_dir() / REDIS_CONF)),
            port=service.facts.port,
            healthcheck=ping(topology, Address(LOOPBACK, service.facts.port)),
            config=("redis",),
            binds=tuple(_own_binds(topology)),
            volume=service.facts.container_data,
            memory_mb=memory,
            stop_seconds=30,
        )


def redis_files(
    topology: Topology, templates: Templates, *, replicated: bool = False
) -> tuple[RenderedFile, ...]:
    """redis/redis.conf, with the password in it where there is one.

    `replicated`: it is the master of others, or one of these.
    """
    from techsapo_ops.services.redis.accounts import ACCOUNTS_FOLDER, accounts_file, accounts_made
    from techsapo_ops.spec.models.base import size_bytes
    from techsapo_ops.stack.own_tls import ca_seen, certificate_seen

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
            msg(
                "your template redis/redis.conf.j2 has no `aclfile` line, from which Redis loads its accounts"
            ),
            msg(
                "copy that line from the built-in template (`techsapo config templates diff`), or set "
                "`redis.accounts: false`"
            ),
        )
    secret = password is not None
    mode = 0o600 if secret else 0o644
    return (RenderedFile(REDIS_CONF, content, mode=mode, secret=secret, owner="redis"),)


def member_files(topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    """The same of one of several, and redis/start.sh."""
    from techsapo_ops.services.redis.accounts import REPLICA

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
    from techsapo_ops.services.redis.accounts import password_file

    file = password_file(topology.layout, account)
    return str(topology.places.seen(file, topology.secret_path(file.name)))


def shared_words(topology: Topology, service: Service) -> dict[str, Any]:
    """What the start scripts of Redis and of its Sentinels are both told; `service` is one of either."""
    from techsapo_ops.services.redis.accounts import tls_options

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


def ping(topology: Topology, at: Address) -> tuple[str, ...]:
    """What asks a Redis or a Sentinel in its container whether it is up.

    With a password, or an account, the answer is NOAUTH, which says it as well.
    """
    from techsapo_ops.services.redis.accounts import tls_options

    return ("redis-cli", "-h", at.host, "-p", str(at.port), *tls_options(topology), "ping")


def _own_binds(topology: Topology) -> Iterable[Bind]:
    from techsapo_ops.services.redis.accounts import ACCOUNTS_FOLDER, accounts_folder, accounts_made
    from techsapo_ops.stack.container import Bind

    if accounts_made(topology):
        yield Bind(accounts_folder(topology.layout), f"{CONTAINER_CONFIG}/{ACCOUNTS_FOLDER}")
