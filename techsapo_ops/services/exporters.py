"""The exporters: when there is one, how it runs on its port, and what each is started with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from typing_extensions import override

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.kind import LOOPBACK, Kind, Wanted, executable
from techsapo_ops.stack.service import Probe, ServiceFacts

if TYPE_CHECKING:
    from pathlib import Path

    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.desired import Program, RenderedFile
    from techsapo_ops.stack.places import Places
    from techsapo_ops.stack.service import Service
    from techsapo_ops.stack.topology import Topology

PASSWORDS = "redis-exporter.json"
CNF = "mysqld-exporter.cnf"
_DOLLAR = "TECHSAPO_DOLLAR"
"""The exporter expands `$NAME` in my.cnf and has no escape for it: a variable holds the dollar."""
_TIMEOUT = "-connection-timeout=3s"
"""The Redis exporter's own 15 s are longer than a scrape may take (10 s): where Redis hangs, `redis_up` would
not become 0, but the scrape would fail, as if the exporter were down.
"""


def exporter_facts(
    kind: str, title: str, image: str, port: int, *, path: str = "/", watches: str = ""
) -> ServiceFacts:
    """The facts of one of Debian's exporters; `path` answers where it is ready."""
    return ServiceFacts(
        kind=kind,
        title=title,
        binary=f"prometheus-{kind}",
        package=f"prometheus-{kind}",
        image=image,
        port=port,
        user="prometheus",
        uid=65534,
        probe=Probe("http", path),
        needs=(watches,) if watches else (),
        metrics_path="/metrics",
    )


class Exporter(Kind):
    """An exporter, on the port of its `port_setting`; null is none."""

    networks: tuple[str, ...] = ("data", "metrics")
    listens_by = "--web.listen-address"
    """The option that takes its address."""
    has_wget = True
    """Whether its image holds something to probe with."""
    environment: Mapping[str, str] = {}

    def arguments(self, topology: Topology, service: Service) -> Iterable[str]:
        """What it is started with, besides its address."""
        raise NotImplementedError

    @override
    def instances(self, spec: Spec, places: Places) -> Iterable[Wanted]:
        port = getattr(spec.monitoring.exporters, self.port_setting.split(".")[2])
        if port is not None:
            yield Wanted(self.name, LOOPBACK, port)

    @override
    def program(self, topology: Topology, service: Service) -> Program:
        from techsapo_ops.stack.desired import Program

        listens = f"{self.listens_by}={topology.listens(service)}"
        return Program(
            service.name,
            (executable(service), *self.arguments(topology, service), listens),
            topology.layout.run,
            environment=self.environment,
            user=service.user,
            reload_signal=service.facts.reload,
            config=(*self.reads, f"secrets/{self.name}"),
        )

    @override
    def container(self, topology: Topology, service: Service) -> Container:
        from techsapo_ops.stack.container import Container, wget

        return Container(
            command=tuple(self.arguments(topology, service)),
            port=service.facts.port,
            healthcheck=wget(service.facts.port, service.facts.probe.path) if self.has_wget else (),
            environment=self.environment,
        )


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
    def arguments(self, topology: Topology, service: Service) -> Iterator[str]:
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
    """Where the exporter finds a Redis or a Sentinel, with the `account` where one is given."""
    from techsapo_ops.services.redis.kind import Redis
    from techsapo_ops.stack.address import Viewpoint

    url = Redis().url(topology, server, Viewpoint.SERVICE)
    return url.replace("://", f"://{account}@", 1) if account else url


class MysqldExporter(Exporter):
    """prometheus-mysqld-exporter."""

    watches = "mysql"
    facts = exporter_facts(
        "mysqld-exporter", msg("mysqld exporter"), "prom/mysqld-exporter:v0.17.2", 9104, watches=watches
    )
    port_setting = "monitoring.exporters.mysqld"
    environment: Mapping[str, str] = {_DOLLAR: "$"}

    @override
    def secret_files(self, topology: Topology) -> Iterable[RenderedFile]:
        from techsapo_ops.stack.secrets import secret_file

        mysql = topology.spec.mysql
        if mysql is not None and mysql.password is not None:
            yield secret_file(CNF, exporter_cnf(topology, mysql.password.reveal()), self.name)

    @override
    def made_secrets(self, topology: Topology) -> Mapping[str, Path]:
        # Where the spec has no password: the bytes that render returns may not hold a random value.
        mysql = topology.spec.mysql
        return {CNF: topology.layout.keys / CNF} if mysql is not None and mysql.password is None else {}

    @override
    def arguments(self, topology: Topology, service: Service) -> Iterator[str]:
        from techsapo_ops.stack.address import Viewpoint

        rendered = topology.secret_path(CNF)
        made = self.made_secrets(topology).get(CNF)
        yield f"--config.my-cnf={topology.places.seen(made, rendered) if made is not None else rendered}"
        watched = topology.beside(service, self.watches)
        yield f"--mysqld.address={topology.address(watched, Viewpoint.SERVICE)}"


def exporter_cnf(topology: Topology, password: str) -> str:
    """my.cnf with the app's login, as mysqld exporter reads it: through go-ini, after expanding `$NAME`.

    `$` is written as a variable that holds one; between triple quotes go-ini takes everything else as it is,
    but for `%(key)s`. The exporter takes a `?` for the start of its own connection parameters. Raises
    OpsError for a password with one of those or with a line break.
    """
    if re.search(r"[\r\n\0?]|%\((user|password)\)s", password):
        raise OpsError(
            msg("mysql.password: the mysqld exporter accepts no password with ?, `%(user)s` or a line break"),
            msg("choose another password, or set monitoring.exporters.mysqld: null"),
        )
    user = topology.spec.mysql.user if topology.spec.mysql is not None else ""
    literal = password.replace("$", f"${{{_DOLLAR}}}")
    return f'[client]\nuser = {user}\npassword = """{literal}"""\n'


class NginxExporter(Exporter):
    """prometheus-nginx-exporter."""

    watches = "nginx"
    facts = exporter_facts(
        "nginx-exporter",
        msg("nginx exporter"),
        "nginx/nginx-prometheus-exporter:1.4.2",
        9113,
        watches=watches,
    )
    networks = ("metrics",)
    port_setting = "monitoring.exporters.nginx"
    has_wget = False

    @override
    def arguments(self, topology: Topology, service: Service) -> Iterator[str]:
        from techsapo_ops.stack.address import Viewpoint

        address = topology.address(topology.beside(service, self.watches), Viewpoint.SERVICE)
        yield f"--nginx.scrape-uri={address.url('/nginx-status')}"
