"""The logins of the stack's MariaDB: their passwords, and how its container gets them."""

from __future__ import annotations

from collections.abc import Sequence

from techsapo_ops.adapters.process import Command
from techsapo_ops.services.exporters import CNF, exporter_cnf
from techsapo_ops.services.made_once import keep, made_once
from techsapo_ops.services.mysql.accounts import Passwords, accounts_sql, hosts_of, statements, unlogged
from techsapo_ops.spec.models.servers import Mysql
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.topology import Topology


def passwords(mysql: Mysql, topology: Topology) -> Passwords:
    """The app's: the spec's, else one that is made now, once; and that of the account that migrates.

    The exporter gets the app's in the form that it reads.
    """
    layout, users = topology.layout, {service.kind: service.user for service in topology.services}
    app = mysql.password
    if app is None:
        app = made_once(layout.mysql_password, users.get("app"))
        keep(layout.keys / CNF, exporter_cnf(topology, app.reveal()), users.get("mysqld-exporter"))
    return Passwords(app, made_once(layout.mysql_migrations_password, None))


def known_password(mysql: Mysql, layout: Layout) -> Secret | None:
    """The app's password where there is one yet that this user may read."""
    if mysql.password is not None:
        return mysql.password
    try:
        return Secret(layout.mysql_password.read_text(encoding="utf-8").strip())
    except OSError:
        return None


def settle(mysql: Mysql, made: Passwords, *, more: Sequence[str] = ()) -> Command:
    """What brings an existing server to the spec's database and accounts, as root of its container.

    `more` are statements that come after that.

    That one needs no password there. The image makes the app's on a new volume only; a changed password would
    else never arrive. Raises OpsError for a password that can't stand on one line.
    """
    argv = ("mariadb", "--no-defaults", "--socket=/run/mysqld/mysqld.sock", "--user=root")
    sql = accounts_sql(mysql, made, hosts_of(from_images=True)) + statements(unlogged(more) if more else ())
    return Command(argv, stdin=sql.encode())
