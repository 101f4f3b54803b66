"""MariaDB: the audit log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from techsapo_ops.messages import msg
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.kind import Kind, Wanted, executable
from techsapo_ops.stack.service import Probe, ServiceFacts

if TYPE_CHECKING:
    from pathlib import Path

    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.container import Container
    from techsapo_ops.stack.desired import Program, RenderedFile
    from techsapo_ops.stack.places import Places
    from techsapo_ops.stack.secrets import StoredSecret
    from techsapo_ops.stack.service import Login, Service
    from techsapo_ops.stack.templates import Templates
    from techsapo_ops.stack.topology import Topology


MY_CNF = "mysql/my.cnf"
TEMPORARY = "mysql-tmp"
INIT_SQL = "mysql-init/grants.sql"
SERVER_PASSWORD = "mysql-server.password"  # noqa: S105 - a file's name
APP_PASSWORD = "mysql-password"  # noqa: S105 - likewise
INIT = "mysql-init"
"""Folder of the rendered configuration with the SQL that the image runs on a new database."""
NO_TLS = "--skip-ssl"
"""The option by which MariaDB's programs do without TLS, which newer ones would try first."""
_MEGABYTE = 1024**2


class Mysql(Kind):
    """mariadbd."""

    facts = ServiceFacts(
        kind="mysql",
        title="MariaDB",
        binary="mariadbd",
        package="mariadb-server",
        image="mariadb:11.8",
        port=3306,
        user="mysql",
        uid=999,
        data=True,
        container_data="/var/lib/mysql",
        probe=Probe("mysql"),
    )
    networks = ("data",)
    reads = ("mysql/",)
    unread = (INIT,)
    deadline = 90.0  # crash recovery
    container_deadline = 120.0  # a new database
    port_setting = "mysql.port"
    scheme = "mysql"
    data_files = ("mysql",)
    programs = ("mariadb", "mariadb-install-db", "mariadb-dump", "mariadb-admin")

    def instances(self, spec: Spec, places: Places) -> Iterable[Wanted]:  # noqa: ARG002 - Kind's signature
        """One, where the spec has a section for it."""
        if spec.mysql is not None:
            yield Wanted(self.name, spec.mysql.host, spec.mysql.port)

    def notes(self, topology: Topology) -> Iterable[str]:
        """Where the audit log is without it."""
        if not topology.has(self.name):
            if topology.spec.mysql is not None:
                yield msg("audit log: SQLite, because MariaDB is not installed here")
            else:
                yield msg("audit log: SQLite; add a `mysql:` section to the spec to use MariaDB")

    def has_audit_log(self, topology: Topology) -> bool:  # noqa: ARG002 - wherever there is one
        """That of all instances."""
        return True

    def files(self, topology: Topology, templates: Templates) -> Iterable[RenderedFile]:
        """my.cnf and what the image runs on a new database."""
        return mysql_files(topology, templates)

    def secret_files(self, topology: Topology) -> Iterable[RenderedFile]:
        """The spec's password, which an image's entry point sets."""
        from techsapo_ops.stack.secrets import secret_file

        mysql = topology.spec.mysql
        if topology.places.from_images and mysql is not None and mysql.password is not None:
            yield secret_file(SERVER_PASSWORD, mysql.password.reveal(), self.name)

    def made_secrets(self, topology: Topology) -> Mapping[str, Path]:
        """The password that was made at the first start."""
        made = topology.spec.mysql is not None and topology.spec.mysql.password is None
        return {SERVER_PASSWORD: topology.layout.mysql_password} if made else {}

    def stored_secrets(self, topology: Topology) -> Iterable[StoredSecret]:
        """The app's, that of who migrates, and root's where that one logs in by a password."""
        from techsapo_ops.services.mysql.accounts import migrations_user
        from techsapo_ops.stack.secrets import StoredSecret

        mysql, layout = topology.spec.mysql, topology.layout
        if mysql is not None:
            made = layout.mysql_password if mysql.password is None else None
            used_by = ("app", "mysqld-exporter", "techsapo")
            yield StoredSecret(
                "mysql-app",
                msg("the audit database"),
                used_by,
                mysql.user,
                made,
                mysql.password,
                "mysql.password",
            )
            yield StoredSecret(
                "mysql-migrations", msg("the audit database, with all rights"), ("techsapo",),
                migrations_user(mysql), layout.mysql_migrations_password,
            )  # fmt: skip
            if not topology.places.from_images:
                yield StoredSecret(
                    "mysql-root", msg("MariaDB, with all rights"), ("techsapo", "you"), "root",
                    layout.mysql_root_password,
                )  # fmt: skip

    def login(self, topology: Topology) -> Login | None:
        """The app's, whose password the tool makes where the spec has none."""
        from techsapo_ops.stack.service import Login

        mysql = topology.spec.mysql
        if mysql is None:
            return None
        return Login(mysql.user, mysql.password, topology.layout.mysql_password)

    def program(self, topology: Topology, service: Service) -> Program:
        """mariadbd on its my.cnf, with the SQL of each start."""
        from techsapo_ops.stack.desired import Program

        argv = (
            executable(service),
            f"--defaults-file={topology.config_dir() / MY_CNF}",
            f"--init-file={topology.layout.mysql_init}",
        )
        return Program(
            service.name,
            argv,
            topology.data_dir(service),
            user=service.user,
            stop_seconds=30,
            # A new password takes effect by the SQL that runs at the start.
            config=(*self.reads, f"secrets/{APP_PASSWORD}"),
        )

    def container(self, topology: Topology, service: Service) -> Container:
        """mariadbd on its my.cnf; the image's entry point makes database and login."""
        from techsapo_ops.stack.container import Container

        environment: dict[str, str] = {}
        memory = 512 + 128  # the buffer pool of my.cnf
        if (mysql := topology.spec.mysql) is not None:
            environment = {
                "MARIADB_DATABASE": mysql.database,
                "MARIADB_USER": mysql.user,
                "MARIADB_PASSWORD_FILE": str(topology.secret_path(SERVER_PASSWORD)),
                "MARIADB_RANDOM_ROOT_PASSWORD": "1",
            }
        return Container(
            command=("mariadbd", f"--defaults-file={topology.config_dir() / MY_CNF}"),
            port=service.facts.port,
            # Not by the socket: the image's first start has a server there that is not set up yet.
            healthcheck=(
                "mariadb-admin", "--no-defaults", NO_TLS, "--host=127.0.0.1",
                f"--port={service.facts.port}", "--user=mysql", "ping",
            ),
            environment=environment,
            config=("mysql",),
            mounts={INIT: "/docker-entrypoint-initdb.d"},
            volume=service.facts.container_data,
            tmpfs=("/tmp", "/run/mysqld:mode=1777"),  # noqa: S108 - the container's own
            memory_mb=memory,
            pids=512,
            stop_seconds=30,
        )  # fmt: skip


def mysql_files(
    topology: Topology,
    templates: Templates,
    *,
    cluster: Mapping[str, str] | None = None,
    accounts: Sequence[str] = (),
) -> tuple[RenderedFile, ...]:
    """mysql/my.cnf, with what it says of a `cluster`, and the SQL of a new database, which makes `accounts`
    too.
    """
    from techsapo_ops.services.mysql.accounts import statements, unlogged

    mysql, places = topology.spec.mysql, topology.places
    assert mysql is not None, "of a stack that has one"  # noqa: S101 - a mistake of ours, no input
    service = topology.of_kind("mysql")[0]  # of several, which differ in what their script tells them
    listens = topology.listens(service)
    content = templates.render(
        "mysql/my.cnf.j2",
        # mariadbd refuses to run as root unless it is told to.
        user="root" if places.starts_as_root(topology.host) and service.user is None else None,
        data=str(topology.data_dir(service)),
        socket="/run/mysqld/mysqld.sock" if places.from_images else None,
        port=listens.port,
        bind=listens.host,
        # In a container the image's entry point does what this does here.
        init_file=None if places.from_images else str(topology.layout.mysql_init),
        database=mysql.database,
        login=mysql.user,
        quote=my_cnf_quote,
        temporary=str(folder) if (folder := temporary_folder(topology)) is not None else None,
        cluster=cluster,
    )
    my_cnf = RenderedFile(MY_CNF, content, owner="mysql")
    if not places.from_images:
        return (my_cnf,)
    made = (
        "CREATE USER IF NOT EXISTS 'mysql'@'127.0.0.1'",
        f"GRANT PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.* TO '{mysql.user}'@'%'",
        "DROP USER IF EXISTS 'root'@'%'",
        "ALTER USER 'root'@'localhost' IDENTIFIED VIA unix_socket",
        *accounts,
    )
    sql = (
        "-- Run once, on a new database. The exporter uses the app's login; root comes in by the socket\n"
        "-- alone, from inside the container. The health check may log in there and do nothing more.\n"
        + statements(unlogged(made))
        + "-- The image made the login before this, and wrote its password into the binlog. It begins anew.\n"
        "EXECUTE IMMEDIATE IF(@@log_bin, 'RESET MASTER', 'DO 0');\n"
    )
    return (my_cnf, RenderedFile(INIT_SQL, sql))


def temporary_folder(topology: Topology) -> Path | None:
    """Where MariaDB keeps its temporary tables; None where its own choice, /tmp, is the stack's alone.

    A MariaDB that starts removes what lies in its folder for them, in /tmp also another stack's. The value is
    a list, divided by colons.
    """
    folder = topology.layout.data / TEMPORARY
    return None if topology.places.from_images or ":" in str(folder) else folder


def my_cnf_quote(text: str) -> str:
    """`text` as a quoted value of a MariaDB option file. Raises OpsError for control characters."""

    # A pair of quotes around the value is stripped, quotes within stay; `\` starts an escape.
    from techsapo_ops.stack.templates import printable

    return '"' + printable(text).replace("\\", "\\\\") + '"'
