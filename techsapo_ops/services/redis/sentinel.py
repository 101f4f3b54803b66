"""Sentinel: the servers that watch several Redis, and make another one the master where that is lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from techsapo_ops.services.redis.kind import Redis, ping
from techsapo_ops.spec.ports import SENTINEL as PORT
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.kind import Kind, Wanted
from techsapo_ops.stack.places import CONTAINER_CONFIG

if TYPE_CHECKING:
    from pathlib import Path

    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.places import Places
    from techsapo_ops.stack.service import Login, Service
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology
CONF = "sentinel/sentinel.conf"
START = "sentinel/start.sh"
DOWN_AFTER = 1000
"""Milliseconds without an answer after which a Redis is taken for lost. Sentinels then ask the replicas once
a second how much they have: with less they would compare what was so before the master was lost."""
FAILOVER_TIMEOUT = 6000
"""Milliseconds for each step of a failover."""


class Sentinel(Kind):
    """redis-server --sentinel, beside each of several Redis; where there is one, there is none."""

    # The same image, and it asks and answers as a Redis does; natively there is none.
    facts = replace(Redis.facts, kind="sentinel", title="Sentinel", binary=None, package=None, port=PORT)
    networks = Redis.networks
    reads = ("sentinel/",)
    between_machines = True
    scheme = Redis.scheme

    def instances(self, spec: Spec, places: Places) -> Iterable[Wanted]:  # noqa: ARG002 - Kind's signature
        """One, on each of several machines."""
        if spec.redis.enabled:
            yield Wanted(self.name, spec.redis.host, self.facts.port)

    def files(self, topology: Topology, templates: Templates) -> Iterable[RenderedFile]:
        """sentinel.conf as it begins, and what starts it."""
        return sentinel_files(topology, templates)

    def made_secrets(self, topology: Topology) -> Mapping[str, Path]:
        """What it logs in with, at Redis and at the other Sentinels."""
        from techsapo_ops.services.redis.accounts import SENTINEL, password_file

        file = password_file(topology.layout, SENTINEL)
        return {file.name: file}

    def login(self, topology: Topology) -> Login:
        """The operator's."""
        from techsapo_ops.services.redis.accounts import OPERATOR, password_file
        from techsapo_ops.stack.service import Login

        return Login(OPERATOR, None, password_file(topology.layout, OPERATOR), "NOAUTH")

    def container(self, topology: Topology, service: Service) -> Container:
        """Its start script, which makes the file that Sentinel goes on to write itself."""
        from techsapo_ops.services.redis.accounts import sentinel_accounts_folder
        from techsapo_ops.stack.container import Bind, Container

        folder = sentinel_accounts_folder(topology.layout)
        return Container(
            command=("sh", str(topology.config_dir() / START)),
            port=service.facts.port,
            healthcheck=ping(topology, topology.listens(service)),
            environment=service.machine.labelled("TECHSAPO_ADDRESS", service.machine.address),
            config=("sentinel",),
            binds=(Bind(folder, f"{CONTAINER_CONFIG}/{folder.name}"),),
            volume=service.facts.container_data,
            memory_mb=64,
        )


def sentinel_files(topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    """sentinel/sentinel.conf and sentinel/start.sh."""
    from techsapo_ops.services.redis.accounts import SENTINEL, sentinel_accounts_file
    from techsapo_ops.services.redis.kind import redis_quote, secret_of, shared_words
    from techsapo_ops.stack.own_tls import ca_seen, certificate_seen

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
