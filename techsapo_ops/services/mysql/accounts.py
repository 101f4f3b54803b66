"""The SQL that keeps the audit database and the app's login as the spec wants them, on whichever engine."""

from __future__ import annotations

from collections.abc import Sequence

from techsapo_ops.errors import OpsError
from techsapo_ops.services.mysql.quoting import literal
from techsapo_ops.spec.models.data import Mysql
from techsapo_ops.spec.secret import Secret


def app_sql(mysql: Mysql, password: Secret, hosts: Sequence[str]) -> str:
    """Statements that make the database and the app's account from `hosts`, with this password; again too.

    The app's login may also read the server's state: mysqld exporter uses it. Raises OpsError for a password
    that can't stand on one line.
    """
    accounts: list[str] = []
    for host in hosts:
        account = f"'{mysql.user}'@'{host}'"
        accounts += [
            *identified(account, password),
            f"GRANT ALL ON `{mysql.database}`.* TO {account}",
            f"GRANT PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.* TO {account}",
        ]
    database = f"CREATE DATABASE IF NOT EXISTS `{mysql.database}` CHARACTER SET utf8mb4"
    return statements((database, *unlogged(accounts)))


def identified(account: str, password: Secret) -> tuple[str, ...]:
    """What sees to it that `account` is there, and logs in by `password`. Raises OpsError as `app_sql`."""
    text = password.reveal()
    if any(c in text for c in "\r\n\0"):
        raise OpsError("mysql.password holds a line break", "choose a password on one line")
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
