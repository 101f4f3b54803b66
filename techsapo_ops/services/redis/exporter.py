"""The Redis exporter."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from techsapo_ops.messages import msg
from techsapo_ops.stack.kind import LOOPBACK, Kind, Wanted, executable
from techsapo_ops.stack.service_facts import Probe, ServiceFacts

if TYPE_CHECKING:
    from pathlib import Path

    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.desired import Program, RenderedFile
    from techsapo_ops.stack.places import Places
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.topology import Topology

PASSWORDS = "redis-exporter.json"

_TIMEOUT = "-connection-timeout=3s"
"""The exporter's own 15 s are longer than a scrape may take (10 s): where Redis hangs, `redis_up` would not
become 0, but the scrape would fail, as if the exporter were down.
"""


class RedisExporter(Kind):
    """prometheus-redis-exporter."""

    facts = ServiceFacts(
        kind="redis-exporter",
        title=msg("Redis exporter"),
        binary="prometheus-redis-exporter",
        package="prometheus-redis-exporter",
        image="oliver006/redis_exporter:v1.74.0",
        port=9121,
        user="prometheus",
        uid=59000,
        probe=Probe("http", "/health"),
        needs=("redis",),
        metrics_path="/metrics",
    )
    watches = "redis"
    networks = ("data", "metrics")
    port_setting = "monitoring.exporters.redis"

    def instances(self, spec: Spec, places: Places) -> Iterable[Wanted]:  # noqa: ARG002 - Kind's signature
        """One, where there is a Redis to watch."""
        port = spec.monitoring.exporters.redis
        if port is not None and spec.redis.enabled:
            yield Wanted(self.name, LOOPBACK, port)

    def secret_files(self, topology: Topology) -> Iterable[RenderedFile]:
        """Its password, by the address with the account in it, where it has one."""
        from techsapo_ops.stack.secrets import secret_file

        redis = topology.spec.redis
        if redis.password is not None:
            server = topology.of_kind(self.watches)[0]
            passwords = {redis_url(topology, server, redis.user or ""): redis.password.reveal()}
            yield secret_file(PASSWORDS, json.dumps(passwords, ensure_ascii=False), self.name)

    def made_secrets(self, topology: Topology) -> Mapping[str, Path]:
        """The same, with the password that was made at the first start."""
        from techsapo_ops.services.redis.accounts import accounts_made, exporter_file

        return {PASSWORDS: exporter_file(topology.layout)} if accounts_made(topology) else {}

    def program(self, topology: Topology, service: Service) -> Program:
        """The exporter, on its port."""
        from techsapo_ops.stack.desired import Program

        address, *login = self._arguments(topology, service)
        listens = f"-web.listen-address={topology.listens(service)}"
        secret = topology.spec.redis.password is not None
        return Program(
            service.name,
            (executable(service), address, listens, *login),
            topology.layout.run,
            user=service.user,
            config=("secrets/redis-exporter",) if secret else (),
        )

    def container(self, topology: Topology, service: Service) -> Container:
        """The exporter; its image has nothing to probe with."""
        from techsapo_ops.stack.container import Container

        return Container(command=tuple(self._arguments(topology, service)), port=service.facts.port)

    def _arguments(self, topology: Topology, service: Service) -> Iterable[str]:
        from techsapo_ops.services.redis.accounts import EXPORTER, accounts_made, exporter_file
        from techsapo_ops.stack.own_tls import ca_seen

        redis = topology.spec.redis
        yield f"-redis.addr={redis_url(topology, topology.beside(service, self.watches))}"
        yield _TIMEOUT
        if redis.password is not None:
            yield f"-redis.password-file={topology.secret_path(PASSWORDS)}"
        if redis.user is not None:
            yield f"-redis.user={redis.user}"
        if accounts_made(topology):
            file = topology.places.seen(exporter_file(topology.layout), topology.secret_path(PASSWORDS))
            yield f"-redis.password-file={file}"
            yield f"-redis.user={EXPORTER}"
        if redis.tls:
            yield f"-tls-ca-cert-file={ca_seen(topology, self.watches)}"


def redis_url(topology: Topology, server: Service, account: str = "") -> str:
    """Where the exporter finds a Redis, with the `account` where one is given."""
    from techsapo_ops.spec.own_tls import redis_scheme
    from techsapo_ops.stack.address import Viewpoint

    address = topology.address(server, Viewpoint.SERVICE)
    scheme = redis_scheme(topology.spec)
    return f"{scheme}://{account}@{address}" if account else address.url(scheme=scheme)
