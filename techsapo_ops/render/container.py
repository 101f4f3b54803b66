"""What each service needs to run in its official image: command, environment, limits, probe."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from techsapo_ops.render.programs import (
    DOLLAR,
    MYSQL_SERVER_PASSWORD,
    MYSQLD_EXPORTER_CNF,
    NGINX_SHUTDOWN_SECONDS,
    REDIS_EXPORTER_TIMEOUT,
    prometheus_size,
    redis_exporter_login,
    redis_url,
    told_addresses,
    told_ca,
)
from techsapo_ops.services.app.pages import THRESHOLDS
from techsapo_ops.services.nginx.site import COMPOSE_TLS_PORT
from techsapo_ops.services.redis.client import tls_options
from techsapo_ops.services.scheduler import container as scheduler
from techsapo_ops.services.scheduler.timetable import schedule_words
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import seconds, size_bytes
from techsapo_ops.stack.address import Viewpoint
from techsapo_ops.stack.layout import SCHEDULER, SCHEDULER_STOP_SECONDS
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.topology import Topology

_ROOT = "/etc/techsapo"
_MEGABYTE = 1024**2
MYSQL_INIT = "mysql-init"
"""Folder of docker/config with the SQL that the image runs on a new database."""
_NODE_EXPORTER_USER = 10002
ANY = "0.0.0.0"  # noqa: S104 - inside its container, on private networks


@dataclass(frozen=True, slots=True)
class Container:
    """One service as its image runs it. `command` are the arguments after the image's entry point.

    `healthcheck` is empty where the image holds nothing to probe with (it has one static binary).
    """

    command: tuple[str, ...]
    port: int
    healthcheck: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    config: tuple[str, ...] = ()
    """Folders of docker/config that it reads, each below /etc/techsapo."""
    mounts: Mapping[str, str] = field(default_factory=dict)
    """Further folders of docker/config, by name, and where the image looks for them."""
    volume: str | None = None
    tmpfs: tuple[str, ...] = ("/tmp",)  # noqa: S108 - the container's own
    memory_mb: int = 128
    pids: int = 128
    stop_seconds: int = 10
    stop_signal: str = "TERM"
    tls_port: int = COMPOSE_TLS_PORT
    extra: Mapping[str, Any] = field(default_factory=dict)


def container(spec: Spec, topology: Topology, service: Service) -> Container:
    """How `service` runs as a container."""
    return _BUILDERS[service.kind](spec, topology, service)


def _wget(port: int, path: str) -> tuple[str, ...]:
    return ("wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{port}{path}")


def _app(spec: Spec, topology: Topology, service: Service) -> Container:
    port = service.facts.port
    probe = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{port}/ping', timeout=5)"
    stop = seconds(spec.app.drain) + seconds(spec.app.limits.request_timeout)
    return Container(
        command=(
            "serve", "--rendered", "--file", f"{_ROOT}/app/techsapo.yaml", "--instance", service.name,
            "--host", ANY, "--port", str(port), "--data", service.facts.container_data,
            "--thresholds", f"{_ROOT}/{THRESHOLDS}",
            *told_addresses(topology, ("redis", "mysql", "prometheus")),
            *told_ca(spec, topology),
        ),
        port=port,
        healthcheck=("python", "-c", probe),
        config=("app", "pages"),
        volume=service.facts.container_data,
        memory_mb=512,
        pids=256,
        stop_seconds=math.ceil(stop) + 5,
        # The kernel keeps SIGTERM from a first process that does not handle it yet, as Python's does while it
        # imports: a stop within the first second would last until all of `stop_seconds` are over.
        extra={"init": True},
    )  # fmt: skip


def _nginx(_: Spec, __: Topology, service: Service) -> Container:
    port = service.facts.port
    return Container(
        command=(
            "-p", "/data", "-c", f"{_ROOT}/nginx/nginx.conf",
            "-e", "stderr", "-g", "daemon off;",
        ),
        port=port,
        healthcheck=_wget(port, "/nginx-health"),
        config=("nginx",),
        tmpfs=("/tmp", f"/data:uid={service.facts.uid},gid={service.facts.uid}"),  # noqa: S108 - its own
        stop_seconds=NGINX_SHUTDOWN_SECONDS + 5,
        stop_signal="QUIT",
        # The image's own entry point wants to write below /etc.
        extra={"entrypoint": ["nginx"]},
    )  # fmt: skip


def _redis(spec: Spec, topology: Topology, service: Service) -> Container:
    # Twice the limit of the data: a snapshot may copy every page that is written meanwhile.
    memory = 2 * size_bytes(spec.redis.maxmemory) // _MEGABYTE + 64
    return Container(
        command=("redis-server", f"{_ROOT}/redis/redis.conf"),
        port=service.facts.port,
        # With a password, or an account, the answer is NOAUTH, which says as well that Redis is up.
        healthcheck=(
            "redis-cli", "-h", "127.0.0.1", "-p", str(service.facts.port),
            *tls_options(spec, topology), "ping",
        ),
        config=("redis",),
        volume=service.facts.container_data,
        memory_mb=memory,
        stop_seconds=30,
    )  # fmt: skip


def _mysql(spec: Spec, topology: Topology, service: Service) -> Container:
    environment: dict[str, str] = {}
    memory = 512
    if spec.mysql is not None:
        memory += size_bytes(spec.mysql.buffer_pool) // _MEGABYTE
        environment = {
            "MARIADB_DATABASE": spec.mysql.database,
            "MARIADB_USER": spec.mysql.user,
            "MARIADB_PASSWORD_FILE": str(topology.secret_path(MYSQL_SERVER_PASSWORD)),
            "MARIADB_RANDOM_ROOT_PASSWORD": "1",
        }
    return Container(
        command=("mariadbd", f"--defaults-file={_ROOT}/mysql/my.cnf"),
        port=service.facts.port,
        # Not by the socket: the image's first start has a server there that is not set up yet.
        healthcheck=(
            "mariadb-admin", "--no-defaults", "--skip-ssl", "--host=127.0.0.1",
            f"--port={service.facts.port}", "--user=mysql", "ping",
        ),
        environment=environment,
        config=("mysql",),
        mounts={MYSQL_INIT: "/docker-entrypoint-initdb.d"},
        volume=service.facts.container_data,
        tmpfs=("/tmp", "/run/mysqld:mode=1777"),  # noqa: S108 - the container's own
        memory_mb=memory,
        pids=512,
        stop_seconds=30,
    )  # fmt: skip


def _prometheus(spec: Spec, topology: Topology, service: Service) -> Container:
    settings = spec.monitoring.prometheus
    command = [
        f"--config.file={_ROOT}/prometheus/prometheus.yml",
        f"--storage.tsdb.path={service.facts.container_data}",
        f"--storage.tsdb.retention.time={settings.retention}",
        f"--web.external-url={topology.address(service, Viewpoint.OUTSIDE).url('/')}",
        "--web.enable-lifecycle",
        "--enable-feature=exemplar-storage",  # else it drops the request ids that it scrapes
    ]
    if spec.backup.prometheus:
        command.append("--web.enable-admin-api")
    if settings.retention_size is not None:
        command.append(f"--storage.tsdb.retention.size={prometheus_size(settings.retention_size)}")
    port = service.facts.port
    return Container(
        command=tuple(command),
        port=port,
        healthcheck=("promtool", "check", "ready", f"--url=http://127.0.0.1:{port}"),
        config=("prometheus",),
        volume=service.facts.container_data,
        memory_mb=1024,
        stop_seconds=30,
    )


def _alertmanager(_: Spec, topology: Topology, service: Service) -> Container:
    port = service.facts.port
    return Container(
        command=(
            f"--config.file={_ROOT}/alertmanager/alertmanager.yml",
            f"--storage.path={service.facts.container_data}",
            f"--web.external-url={topology.address(service, Viewpoint.OUTSIDE).url('/')}",
            "--cluster.listen-address=",
        ),
        port=port,
        healthcheck=("amtool", f"--alertmanager.url=http://127.0.0.1:{port}", "config", "show"),
        config=("alertmanager",),
        volume=service.facts.container_data,
        memory_mb=256,
    )


def _grafana(_: Spec, __: Topology, service: Service) -> Container:
    return Container(
        command=(),
        port=service.facts.port,
        healthcheck=_wget(service.facts.port, "/api/health"),
        environment={
            "GF_PATHS_CONFIG": f"{_ROOT}/grafana/grafana.ini",
            "GF_PATHS_PROVISIONING": f"{_ROOT}/grafana/provisioning",
            "GF_PATHS_DATA": service.facts.container_data,
        },
        config=("grafana",),
        volume=service.facts.container_data,
        memory_mb=512,
        pids=256,
        stop_seconds=15,
    )


def _node_exporter(_: Spec, __: Topology, service: Service) -> Container:
    port = service.facts.port
    return Container(
        command=(
            "--path.rootfs=/host",
            "--path.procfs=/host/proc",
            "--path.sysfs=/host/sys",
            "--collector.textfile.directory=/textfile",
        ),
        port=port,
        healthcheck=_wget(port, "/"),
        # The image's own user is that of others too, and here it would read their secrets below /host. With a
        # group: a user that the image does not know is in root's.
        extra={"pid": "host", "user": f"{_NODE_EXPORTER_USER}:{_NODE_EXPORTER_USER}"},
    )


def _redis_exporter(spec: Spec, topology: Topology, service: Service) -> Container:
    command = (
        f"-redis.addr={redis_url(spec, topology)}",
        REDIS_EXPORTER_TIMEOUT,
        *redis_exporter_login(spec, topology),
    )
    return Container(command=command, port=service.facts.port)


def _mysqld_exporter(_: Spec, topology: Topology, service: Service) -> Container:
    watched = topology.address(topology.of_kind("mysql")[0], Viewpoint.SERVICE)
    return Container(
        command=(
            f"--config.my-cnf={topology.secret_path(MYSQLD_EXPORTER_CNF)}",
            f"--mysqld.address={watched}",
        ),
        port=service.facts.port,
        healthcheck=_wget(service.facts.port, "/"),
        environment={DOLLAR: "$"},
    )


def _nginx_exporter(_: Spec, topology: Topology, service: Service) -> Container:
    watched = topology.address(topology.of_kind("nginx")[0], Viewpoint.SERVICE)
    return Container(command=(f"--nginx.scrape-uri={watched.url('/nginx-status')}",), port=service.facts.port)


def _scheduler(spec: Spec, topology: Topology, _: Service) -> Container:
    return Container(
        command=schedule_words(topology.layout),
        port=0,
        # That its process runs, Docker sees by itself; whether it may talk to the daemon, this asks.
        healthcheck=("docker", "version", "--format", "{{.Server.Version}}"),
        environment=scheduler.environment(spec, topology),
        memory_mb=512,
        pids=512,
        stop_seconds=SCHEDULER_STOP_SECONDS + 5,
        extra=scheduler.privileges(topology),
    )


_BUILDERS: dict[str, Callable[[Spec, Topology, Service], Container]] = {
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
    SCHEDULER: _scheduler,
}
