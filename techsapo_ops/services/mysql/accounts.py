"""The SQL that keeps the audit database and its accounts as the spec wants them, on whichever engine.

The app's account adds rows, reads them, and adds to the sums of what they cost; nothing else. An account of
its own makes and alters tables, whose password no process of the stack is given: `up` and `restore` use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

if TYPE_CHECKING:  # `techsapo backup --help` knows of MariaDB, and reads no spec
    from techsapo_ops.spec.models.servers import Mysql
    from techsapo_ops.spec.secret import Secret


def literal(text: str) -> str:
    """`text` as a string of SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def name(text: str) -> str:
    """`text` as a name of SQL."""
    return "`" + text.replace("`", "``") + "`"


RIGHTS = {
    "audit_requests": "INSERT",
    "audit_calls": "INSERT",
    "audit_spent": "INSERT, UPDATE",
    "incidents": "INSERT, UPDATE",
    "incident_alerts": "INSERT, UPDATE",
    "incident_entries": "INSERT",
    "incident_events": "INSERT",
    "answer_labels": "INSERT",
}
"""What the app may do to its tables beside reading them: sums grow, incidents and their alerts end."""


@dataclass(frozen=True, slots=True)
class Passwords:
    """Those of the app's account and of the one that migrates."""

    app: Secret
    migrations: Secret


def migrations_user(mysql: Mysql) -> str:
    """The account that makes and alters the tables, and that a dump is loaded by."""
    return f"{mysql.user}_migrations"


def accounts_sql(mysql: Mysql, passwords: Passwords, hosts: Sequence[str]) -> str:
    """Statements that make the database and its accounts from `hosts`, with these passwords; again too.

    They take no right away, see `narrowed`, and give none to add rows, see `adding`. The app's login may also
    read the server's state: mysqld exporter uses it. Raises OpsError for a password that can't stand on one
    line.
    """
    accounts: list[str] = []
    for host in hosts:
        account = f"'{mysql.user}'@'{host}'"
        accounts += [
            *identified(account, passwords.app),
            _reading(mysql, account),
            f"GRANT PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.* TO {account}",
        ]
    accounts += _migrating(mysql, passwords.migrations, hosts)
    database = f"CREATE DATABASE IF NOT EXISTS `{mysql.database}` CHARACTER SET utf8mb4"
    return statements((database, *unlogged(accounts)))


def hosts_of(*, from_images: bool) -> tuple[str, ...]:
    """Whence the accounts log in: other containers, or else the loopback address and apps of other hosts."""
    return ("%",) if from_images else ("127.0.0.1", "%")


def _migrating(mysql: Mysql, password: Secret, hosts: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for host in hosts:
        account = f"'{migrations_user(mysql)}'@'{host}'"
        lines += [*identified(account, password), f"GRANT ALL ON `{mysql.database}`.* TO {account}"]
    return lines


def narrowed(mysql: Mysql, hosts: Sequence[str]) -> tuple[str, ...]:
    """Statements that take from the app's account what the image gave it at its first start: everything.

    All of it, and what it keeps is given anew: what ALL consists of differs by the server's version. Sessions
    keep their rights meanwhile; one that begins in between is refused, and its rows wait.
    """
    lines: list[str] = []
    for host in hosts:
        account = f"'{mysql.user}'@'{host}'"
        lines += [f"REVOKE ALL PRIVILEGES ON `{mysql.database}`.* FROM {account}", _reading(mysql, account)]
    return (*adding(mysql, hosts), *unlogged(lines))


def adding(mysql: Mysql, hosts: Sequence[str]) -> tuple[str, ...]:
    """Statements that let the app's account add rows to its tables, which have to be there.

    To those alone: a row more in alembic's own table would stop every later migration. The right is of the
    table's name, and outlives it where a restore makes it anew.
    """
    accounts = [f"'{mysql.user}'@'{host}'" for host in hosts]
    return unlogged(
        [f"GRANT {r} ON `{mysql.database}`.`{t}` TO {a}" for a in accounts for t, r in RIGHTS.items()]
    )


def _reading(mysql: Mysql, account: str) -> str:
    return f"GRANT SELECT ON `{mysql.database}`.* TO {account}"


def identified(account: str, password: Secret) -> tuple[str, ...]:
    """What sees to it that `account` is there, and logs in by `password`. Raises as `accounts_sql`."""
    text = password.reveal()
    if any(c in text for c in "\r\n\0"):
        raise OpsError(msg("mysql.password contains a line break"), msg("choose a password on one line"))
    by = f"{account} IDENTIFIED BY {literal(text)}"
    return f"CREATE USER IF NOT EXISTS {by}", f"ALTER USER {by}"


def unlogged(lines: Sequence[str]) -> tuple[str, ...]:
    """These statements, kept out of the binlog, where a password would stand as it was written.

    No restore needs them there: each start makes accounts, and a replay takes the audit database alone.
    """
    return ("SET SESSION sql_log_bin = 0", *lines, "SET SESSION sql_log_bin = 1")


def statements(lines: Sequence[str]) -> str:
    """One a line, as `--init-file` wants them."""
    return "".join(f"{line};\n" for line in lines)
