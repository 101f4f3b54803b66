"""redis.conf and my.cnf."""

from __future__ import annotations

import re

from techsapo_ops.errors import OpsError
from techsapo_ops.render.programs import listen_host
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.models.base import size_bytes
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.service import Service
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology

REDIS_CONF = "redis/redis.conf"
MY_CNF = "mysql/my.cnf"
INIT_SQL = "mysql-init/grants.sql"

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def redis_files(spec: Spec, topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    """redis/redis.conf, with the password in it where there is one; nothing where there is no Redis."""
    service = topology.find("redis")
    if service is None:
        return ()
    password = spec.redis.password.reveal() if spec.redis.password is not None else None
    content = templates.render(
        "redis/redis.conf.j2",
        bind=_bind(topology, service),
        port=_port(topology, service),
        protected=topology.engine == "native",
        certificates=topology.redis_certificate_dir() if spec.redis.tls else None,
        ca=topology.redis_ca(),
        user=spec.redis.user,
        password=password,
        data=str(topology.data_dir(service)),
        maxmemory=size_bytes(spec.redis.maxmemory),
        appendonly=spec.redis.appendonly,
        quote=redis_quote,
    )
    return (
        RenderedFile(
            REDIS_CONF,
            content,
            mode=0o600 if password else 0o644,
            secret=password is not None,
            owner="redis",
        ),
    )


def mysql_files(spec: Spec, topology: Topology, templates: Templates) -> tuple[RenderedFile, ...]:
    """mysql/my.cnf; nothing where there is no MariaDB."""
    service = topology.find("mysql")
    if service is None or spec.mysql is None:
        return ()
    content = templates.render(
        "mysql/my.cnf.j2",
        # mariadbd refuses to run as root unless it is told to.
        user="root" if topology.engine == "native" and topology.host.root and service.user is None else None,
        data=str(topology.data_dir(service)),
        socket="/run/mysqld/mysqld.sock" if topology.engine == "compose" else None,
        port=_port(topology, service),
        bind=_bind(topology, service),
        # In a container the image's entry point does what this does here.
        init_file=str(topology.layout.mysql_init) if topology.engine == "native" else None,
        database=spec.mysql.database,
        login=spec.mysql.user,
        buffer_pool=size_bytes(spec.mysql.buffer_pool),
        quote=my_cnf_quote,
    )
    files = (RenderedFile(MY_CNF, content, owner="mysql"),)
    if topology.engine != "compose":
        return files
    login = f"'{spec.mysql.user}'@'%'"
    sql = (
        "-- Run once, on a new database. The exporter uses the app's login; root comes in by the socket\n"
        "-- alone, from inside the container. The health check may log in there and do nothing more.\n"
        "CREATE USER IF NOT EXISTS 'mysql'@'127.0.0.1';\n"
        f"GRANT PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.* TO {login};\n"
        "DROP USER IF EXISTS 'root'@'%';\n"
        "ALTER USER 'root'@'localhost' IDENTIFIED VIA unix_socket;\n"
    )
    return (*files, RenderedFile(INIT_SQL, sql))


def redis_quote(text: str) -> str:
    """`text` as a double-quoted argument of redis.conf (sdssplitargs): any byte can be escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", escaped) + '"'


def my_cnf_quote(text: str) -> str:
    """`text` as a quoted value of a MariaDB option file. Raises OpsError for control characters."""
    if _CONTROL.search(text):
        raise OpsError(f"{text!r} holds a control character", "rename the folder")
    # A pair of quotes around the value is stripped, quotes within stay; `\` starts an escape.
    return '"' + text.replace("\\", "\\\\") + '"'


def _bind(topology: Topology, service: Service) -> str:
    return "0.0.0.0" if topology.engine == "compose" else listen_host(service.host)  # noqa: S104 - private net


def _port(topology: Topology, service: Service) -> int:
    return service.facts.port if topology.engine == "compose" else service.port
