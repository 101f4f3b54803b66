"""The Redis exporter."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.messages import msg
from techsapo_ops.services.exporter import Exporter, exporter_facts

if TYPE_CHECKING:
    from pathlib import Path

    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.desired import RenderedFile
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.topology import Topology

PASSWORDS = "redis-exporter.json"

_TIMEOUT = "-connection-timeout=3s"
"""The exporter's own 15 s are longer than a scrape may take (10 s): where Redis hangs, `redis_up` would not
become 0, but the scrape would fail, as if the exporter were down.
"""


class RedisExporter(Exporter):
    """prometheus-redis-exporter."""

    watches = "redis"
    facts = replace(
        exporter_facts(
            "redis-exporter",
            msg("Redis exporter"),
            "oliver006/redis_exporter:v1.74.0",
            9121,
            path="/health",
            watches=watches,
        ),
        uid=59000,
    )
    port_setting = "monitoring.exporters.redis"
    listens_by = "-web.listen-address"
    has_wget = False

    @override
    def is_wanted(self, spec: Spec) -> bool:
        return spec.redis.enabled

    @override
    def secret_files(self, topology: Topology) -> Iterable[RenderedFile]:
        # Its password, by the address with the account in it.
        from techsapo_ops.stack.secrets import secret_file

        redis = topology.spec.redis
        if redis.password is not None:
            server = topology.of_kind(self.watches)[0]
            passwords = {redis_url(topology, server, redis.user or ""): redis.password.reveal()}
            yield secret_file(PASSWORDS, json.dumps(passwords, ensure_ascii=False), self.name)

    @override
    def made_secrets(self, topology: Topology) -> Mapping[str, Path]:
        from techsapo_ops.services.redis.accounts import accounts_made, exporter_file

        return {PASSWORDS: exporter_file(topology.layout)} if accounts_made(topology) else {}

    @override
    def arguments(self, topology: Topology, service: Service) -> tuple[str, ...]:
        return tuple(self._arguments(topology, service))

    def _arguments(self, topology: Topology, service: Service) -> Iterator[str]:
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
