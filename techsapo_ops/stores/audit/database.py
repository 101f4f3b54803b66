"""Where the audit database is, a MariaDB or a file of SQLite, and how a process reaches it."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from techsapo_ops.adapters.address import Address, reachable_host
from techsapo_ops.adapters.imports import first_use
from techsapo_ops.spec.models.servers import Mysql
from techsapo_ops.spec.secret import Secret

if TYPE_CHECKING:
    from sqlalchemy import Engine

CONNECT_TIMEOUT = 3
READ_TIMEOUT = 10
_CAUSAL = "SET SESSION wsrep_sync_wait = 1"
"""Has a member of a cluster answer a read only when it has all that was committed before, on any member."""
_FORESTALLED = frozenset({1020, 1062, 1205, 1213})
BUSY = 5.0
"""Seconds for which a connection waits for another one's lock."""


@dataclass(frozen=True, slots=True)
class AuditServer:
    """Where it is, what it is asked for and with which login.

    `others` are the further members of its cluster, in the order in which they are tried.
    """

    host: str
    port: int
    database: str
    user: str
    password: Secret | None = None
    others: tuple[Address, ...] = ()

    @property
    def members(self) -> tuple[AuditServer, ...]:
        """Each server alone, the preferred one first."""
        alone = replace(self, others=())
        return (alone, *(replace(alone, host=each.host, port=each.port) for each in self.others))

    @property
    def place(self) -> str:
        """HOST:PORT, of a cluster those of all its members."""
        return ", ".join(f"{each.host}:{each.port}" for each in self.members)


def audit_server(spec: Mysql | None, others: tuple[Address, ...] = ()) -> AuditServer | None:
    """The server that `spec` is about, and `others` of its cluster; None where the audit log is SQLite."""
    if spec is None:
        return None
    return AuditServer(spec.host, spec.port, spec.database, spec.user, spec.password, others)


def audit_engine(
    mysql: AuditServer | None, sqlite: Path, *, patience: float = READ_TIMEOUT, causal: bool = False
) -> Engine:
    """An engine with one connection to the audit database; nothing is connected yet.

    A server is given up that says nothing for `patience` seconds. `causal` is for members of a cluster: what
    is read then holds all that was committed on any of them before.
    """
    database_errors()
    return _mysql_engine(mysql, patience, causal=causal) if mysql else sqlite_engine(sqlite)


def database_errors() -> tuple[type[Exception], ...]:
    """What is raised by whoever uses an audit database. Imports SQLAlchemy: blocks the first time."""
    return first_use(_database_errors)


def _database_errors() -> tuple[type[Exception], ...]:
    import sqlalchemy as sa

    return sa.exc.SQLAlchemyError, OSError


def forestalled(error: Exception) -> bool:
    """Whether it is what MariaDB says to the later of two: the record changed, is there already, is locked,
    or a deadlock. A commit is told the last one, too, that lost against another member of the cluster.
    """
    origin = getattr(error, "orig", None)
    return origin is not None and not _FORESTALLED.isdisjoint(origin.args[:1])


def _mysql_engine(server: AuditServer, patience: float, *, causal: bool) -> Engine:
    from sqlalchemy import URL, create_engine

    url = URL.create(
        "mysql+pymysql",
        username=server.user,
        password=server.password.reveal() if server.password else None,
        host=reachable_host(server.host),
        port=server.port,
        database=server.database,
        query={"charset": "utf8mb4"},
    )
    options: dict[str, Any] = {
        "connect_timeout": min(CONNECT_TIMEOUT, patience),
        "read_timeout": patience,
        "write_timeout": patience,
    }
    if causal:
        options["init_command"] = _CAUSAL
    return create_engine(
        url, pool_size=1, max_overflow=0, pool_pre_ping=True, hide_parameters=True, connect_args=options
    )


def make_file(path: Path) -> None:
    """Make the file where there is none. Raises OSError, also where a link is in its place.

    Made here for its mode: SQLite would make it readable by all. One that is there is not opened: closing it
    would take this process's locks from whatever else has it open here.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if path.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None


def sqlite_engine(path: Path) -> Engine:
    """An engine with one connection to the file, in which a writer and readers go on beside each other."""
    from sqlalchemy import URL, create_engine, event

    engine = create_engine(
        URL.create("sqlite", database=str(path)), pool_size=1, max_overflow=0, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, record: Any) -> None:  # noqa: ARG001 - SQLAlchemy's signature
        connection.execute(f"PRAGMA busy_timeout={round(BUSY * 1000)}")
        _turn_wal_on(connection)
        # Rows are written in batches, some times a second at most. With NORMAL they would reach the disk with
        # the next checkpoint, which in a quiet night is hours away.
        connection.execute("PRAGMA synchronous=FULL")

    return engine


def _turn_wal_on(connection: sqlite3.Connection) -> None:
    """Have the file written ahead, which it remembers.

    While another connection writes the very first tables, SQLite refuses this at once: it asks for no
    busy_timeout there.
    """
    deadline = time.monotonic() + BUSY
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
            pause()
        else:
            return


def pause() -> None:
    """Wait until the other connection may have finished."""
    time.sleep(0.02)
