"""The native engine's processes: what to start, with which flags, and how to stop and reload each.

The flags were checked against Debian 13's binaries; the lab test starts every one of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from techsapo_ops import __version__
from techsapo_ops.errors import OpsError
from techsapo_ops.services.app.pages import THRESHOLDS
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import seconds
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.desired import Program
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

NGINX_SHUTDOWN_SECONDS = 20
"""`worker_shutdown_timeout`: how long a stopping or reloaded worker may finish its requests."""

MYSQLD_EXPORTER_CNF = "mysqld-exporter.cnf"
MYSQL_SERVER_PASSWORD = "mysql-server.password"  # noqa: S105 - a file's name
REDIS_EXPORTER_PASSWORDS = "redis-exporter.json"

REDIS_EXPORTER_TIMEOUT = "-connection-timeout=3s"
"""The exporter's own 15 s are longer than a scrape may take (10 s): where Redis hangs, `redis_up` would not
become 0, but the scrape would fail, as if the exporter were down.
"""

DOLLAR = "TECHSAPO_DOLLAR"
"""mysqld exporter expands `$NAME` in my.cnf and has no escape for it: a variable holds the dollar."""

_SYSTEM_BIN = frozenset({Path("/bin"), Path("/usr/bin"), Path("/usr/sbin"), Path("/usr/local/bin")})


def listen_host(host: str) -> str:
    """The address to bind for a spec's `host`: `localhost` is made one address, not two."""
    return "127.0.0.1" if host == "localhost" else host


def listen_address(service: Service) -> str:
    """`host:port` to bind, with brackets around an IPv6 address."""
    host = listen_host(service.host)
    return f"[{host}]:{service.port}" if ":" in host else f"{host}:{service.port}"


def programs(spec: Spec, topology: Topology) -> tuple[Program, ...]:
    """One Program for each service of a native `topology`, in its order.

    Raises OpsError for a service whose executable the topology does not know.
    """
    return tuple(_BUILDERS[service.kind](spec, topology, service) for service in topology.services)


def mysqld_exporter_config(spec: Spec, topology: Topology) -> Path:
    """my.cnf with the exporter's credentials.

    A rendered secret where the spec has the password, else the file that the engine writes when it
    makes one: the bytes that render returns may not hold a random value.
    """
    if spec.mysql is not None and spec.mysql.password is not None:
        return topology.secret_path(MYSQLD_EXPORTER_CNF)
    return topology.layout.keys / MYSQLD_EXPORTER_CNF


def _binary(service: Service) -> str:
    if service.binary is None:
        raise OpsError(
            f"no executable is known for {service.name}", "`techsapo doctor` shows what is missing"
        )
    return service.binary


def _app(spec: Spec, topology: Topology, service: Service) -> Program:
    limits = spec.app.limits
    argv = (
        topology.host.python,
        "-m",
        "techsapo_ops",
        "serve",
        "--rendered",
        "--file",
        str(topology.config_dir() / "app" / "techsapo.yaml"),
        "--instance",
        service.name,
        "--host",
        listen_host(service.host),
        "--port",
        str(service.port),
        "--data",
        str(topology.data_dir(service)),
        "--thresholds",
        str(topology.config_dir() / THRESHOLDS),
        *told_addresses(topology, ("prometheus",)),
        *told_ca(spec, topology),
    )
    drained = seconds(spec.app.drain) + seconds(limits.request_timeout)
    return Program(
        service.name,
        argv,
        topology.data_dir(service),
        # Version 0.1 compares nothing else: with it, going back to 0.1 restarts the app.
        environment={"PYTHONUNBUFFERED": "1", "TECHSAPO_VERSION": __version__},
        user=service.user,
        stop_seconds=math.ceil(drained) + 5,
        config=("app/", "secrets/providers-", "secrets/redis-password", "secrets/mysql-password"),
    )


def told_ca(spec: Spec, topology: Topology) -> tuple[str, ...]:
    """`--redis-ca FILE` for the app, where its Redis speaks TLS."""
    return ("--redis-ca", str(topology.redis_ca())) if spec.redis.tls and topology.has("redis") else ()


def told_addresses(topology: Topology, kinds: tuple[str, ...]) -> tuple[str, ...]:
    """`--KIND HOST:PORT` for each of `kinds` that the stack has, as another of its services sees it."""
    return tuple(
        word
        for kind in kinds
        for other in topology.of_kind(kind)
        for word in (f"--{kind}", str(topology.address(other, Viewpoint.SERVICE)))
    )


def _nginx(_: Spec, topology: Topology, service: Service) -> Program:
    # The master keeps root where it has it: it alone then reads private keys and binds ports below
    # 1024, and its workers drop to the `user` that nginx.conf names.
    argv = (
        _binary(service),
        "-p",
        str(topology.data_dir(service)),
        "-c",
        str(topology.config_dir() / "nginx" / "nginx.conf"),
        "-e",
        "stderr",
        "-g",
        "daemon off;",
    )
    return Program(
        service.name,
        argv,
        topology.data_dir(service),
        stop_signal="QUIT",
        stop_seconds=NGINX_SHUTDOWN_SECONDS + 5,
        reload_signal=service.facts.reload,
        config=("nginx/",),
    )


def _redis(_: Spec, topology: Topology, service: Service) -> Program:
    argv = (_binary(service), str(topology.config_dir() / "redis" / "redis.conf"))
    return Program(
        service.name,
        argv,
        topology.data_dir(service),
        user=service.user,
        stop_seconds=30,
        config=("redis/",),
    )


def _mysql(_: Spec, topology: Topology, service: Service) -> Program:
    argv = (
        _binary(service),
        f"--defaults-file={topology.config_dir() / 'mysql' / 'my.cnf'}",
        f"--init-file={topology.layout.mysql_init}",
    )
    return Program(
        service.name,
        argv,
        topology.data_dir(service),
        user=service.user,
        stop_seconds=30,
        # A new password takes effect by the SQL that runs at the start.
        config=("mysql/", "secrets/mysql-password"),
    )


def _prometheus(spec: Spec, topology: Topology, service: Service) -> Program:
    settings = spec.monitoring.prometheus
    argv = [
        _binary(service),
        f"--config.file={topology.config_dir() / 'prometheus' / 'prometheus.yml'}",
        f"--storage.tsdb.path={topology.data_dir(service)}",
        f"--storage.tsdb.retention.time={settings.retention}",
        f"--web.listen-address={listen_address(service)}",
        f"--web.external-url={topology.address(service, Viewpoint.OUTSIDE).url('/')}",
        "--web.enable-lifecycle",
        "--enable-feature=exemplar-storage",  # else it drops the request ids that it scrapes
    ]
    if spec.backup.prometheus:
        argv.append("--web.enable-admin-api")
    if settings.retention_size is not None:
        argv.append(f"--storage.tsdb.retention.size={prometheus_size(settings.retention_size)}")
    return Program(
        service.name,
        tuple(argv),
        topology.data_dir(service),
        user=service.user,
        stop_seconds=30,
        reload_signal=service.facts.reload,
        config=("prometheus/",),
    )


def prometheus_size(size: str) -> str:
    """The spec's `10M`, `10MB` or `1024` as Prometheus reads it: `10MB`, `1024B` (powers of 1024)."""
    return size.upper().removesuffix("B") + "B"


def _alertmanager(_: Spec, topology: Topology, service: Service) -> Program:
    argv = (
        _binary(service),
        f"--config.file={topology.config_dir() / 'alertmanager' / 'alertmanager.yml'}",
        f"--storage.path={topology.data_dir(service)}",
        f"--web.listen-address={listen_address(service)}",
        f"--web.external-url={topology.address(service, Viewpoint.OUTSIDE).url('/')}",
        "--cluster.listen-address=",
    )
    return Program(
        service.name,
        argv,
        topology.data_dir(service),
        user=service.user,
        reload_signal=service.facts.reload,
        config=("alertmanager/", "secrets/notifications-"),
    )


def _grafana(_: Spec, topology: Topology, service: Service) -> Program:
    binary = Path(_binary(service))
    # Debian-style packages put a wrapper into a bin folder of the system and the files into
    # /usr/share/grafana; a tarball has bin/ inside its home.
    home = Path("/usr/share/grafana") if binary.parent in _SYSTEM_BIN else binary.parent.parent
    argv = (
        str(binary),
        f"--homepath={home}",
        f"--config={topology.config_dir() / 'grafana' / 'grafana.ini'}",
    )
    return Program(
        service.name,
        argv,
        topology.data_dir(service),
        user=service.user,
        stop_seconds=15,
        # Not its dashboards: Grafana looks for changed ones by itself.
        config=("grafana/grafana.ini", "grafana/provisioning/", "secrets/monitoring-grafana-"),
    )


def _node_exporter(_: Spec, topology: Topology, service: Service) -> Program:
    argv = (
        _binary(service),
        f"--web.listen-address={listen_address(service)}",
        f"--collector.textfile.directory={topology.layout.textfiles}",
        # Debian's build turns it on: an error line a scrape where no systemd runs, and nothing reads it.
        "--no-collector.systemd",
    )
    return Program(service.name, argv, topology.data_dir(service), user=service.user)


def _redis_exporter(spec: Spec, topology: Topology, service: Service) -> Program:
    argv = (
        _binary(service),
        f"-redis.addr={redis_url(spec, topology)}",
        f"-web.listen-address={listen_address(service)}",
        REDIS_EXPORTER_TIMEOUT,
        *redis_exporter_login(spec, topology),
    )
    config = ("secrets/redis-exporter",) if spec.redis.password is not None else ()
    return Program(service.name, argv, topology.layout.run, user=service.user, config=config)


def redis_url(spec: Spec, topology: Topology, account: str = "") -> str:
    """Where the exporter finds Redis, with the `account` where one is given."""
    address = topology.address(topology.of_kind("redis")[0], Viewpoint.SERVICE)
    scheme = "rediss" if spec.redis.tls else "redis"
    return f"{scheme}://{account}@{address}" if account else address.url(scheme=scheme)


def redis_exporter_login(spec: Spec, topology: Topology) -> tuple[str, ...]:
    """The exporter's arguments that log it in, on either engine."""
    words = []
    if spec.redis.password is not None:
        words.append(f"-redis.password-file={topology.secret_path(REDIS_EXPORTER_PASSWORDS)}")
    if spec.redis.user is not None:
        words.append(f"-redis.user={spec.redis.user}")
    if spec.redis.tls:
        words.append(f"-tls-ca-cert-file={topology.redis_ca()}")
    return tuple(words)


def _mysqld_exporter(spec: Spec, topology: Topology, service: Service) -> Program:
    watched = topology.address(topology.of_kind("mysql")[0], Viewpoint.SERVICE)
    argv = (
        _binary(service),
        f"--config.my-cnf={mysqld_exporter_config(spec, topology)}",
        f"--mysqld.address={watched}",
        f"--web.listen-address={listen_address(service)}",
    )
    return Program(
        service.name,
        argv,
        topology.layout.run,
        environment={DOLLAR: "$"},
        user=service.user,
        config=("secrets/mysqld-exporter",),
    )


def _nginx_exporter(_: Spec, topology: Topology, service: Service) -> Program:
    watched = topology.address(topology.of_kind("nginx")[0], Viewpoint.SERVICE)
    argv = (
        _binary(service),
        f"--nginx.scrape-uri={watched.url('/nginx-status')}",
        f"--web.listen-address={listen_address(service)}",
    )
    return Program(service.name, argv, topology.layout.run, user=service.user)


_BUILDERS: dict[str, Callable[[Spec, Topology, Service], Program]] = {
    "app": _app,
    "nginx": _nginx,
    "redis": _redis,
    "mysql": _mysql,
    "prometheus": _prometheus,
    "alertmanager": _alertmanager,
    "grafana": _grafana,
    "node-exporter": _node_exporter,
    "redis-exporter": _redis_exporter,
    "mysqld-exporter": _mysqld_exporter,
    "nginx-exporter": _nginx_exporter,
}
