"""my.cnf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from techsapo_ops.services.mysql.accounts import statements, unlogged
from techsapo_ops.stack.desired import RenderedFile
from techsapo_ops.stack.templates import Templates, printable
from techsapo_ops.stack.topology import Topology

MY_CNF = "mysql/my.cnf"
TEMPORARY = "mysql-tmp"
INIT_SQL = "mysql-init/grants.sql"


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
    return '"' + printable(text).replace("\\", "\\\\") + '"'
