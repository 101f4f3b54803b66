"""The audit tables, in MySQL/MariaDB or SQLite."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from techsapo_ops.adapters.address import reachable_host
from techsapo_ops.adapters.imports import first_use
from techsapo_ops.stores.audit.migrate import upgrade
from techsapo_ops.stores.audit.server import AuditServer
from techsapo_ops.stores.audit.spool import AuditCall, AuditRow
from techsapo_ops.stores.audit.sqlite import make_file, sqlite_engine

if TYPE_CHECKING:
    from sqlalchemy import Engine, TableClause
    from sqlalchemy.types import TypeEngine

CONNECT_TIMEOUT = 3
READ_TIMEOUT = 10
_CAUSAL = "SET SESSION wsrep_sync_wait = 1"
"""Has a member of a cluster answer a read only when it has all that was committed before, on any member."""
TEXT_LIMITS = {
    "instance": 64, "request_id": 128, "user_id": 64, "status": 32, "key_id": 32, "claimed_user": 64,
}  # fmt: skip
CALL_LIMITS = {"provider": 64, "model": 128, "status": 32}
_ROW = tuple(f.name for f in fields(AuditRow) if f.name != "calls")
CALL_COLUMNS = tuple(f.name for f in fields(AuditCall))


class AuditStore:
    """Writes audit rows; made and used by one thread. Methods raise SQLAlchemyError or OSError.

    A server that says nothing for `patience` seconds is given up.
    """

    settles = 0.0
    """Seconds after which `lacking` can tell."""
    member = 0
    """The number of the server that takes the rows."""

    def __init__(
        self, mysql: AuditServer | None, sqlite: Path, *, patience: float = READ_TIMEOUT, causal: bool = False
    ) -> None:
        self._engine = audit_engine(mysql, sqlite, patience=patience, causal=causal)
        self._file = None if mysql else sqlite
        self._requests, self._calls = audit_tables()
        self._ready = False

    def insert(self, rows: list[AuditRow]) -> None:
        """Write rows in one transaction; rows that are there already stay as they are.

        By INSERT alone: the account may change nothing, and "on duplicate key" would need that right.
        """
        import sqlalchemy as sa

        self._prepare()
        try:
            self._add(rows)
        except sa.exc.IntegrityError:
            # A replay after a batch whose end was not told. A row and its calls came in one transaction.
            there = self.known([row.id for row in rows])
            lacking = {row.id: row for row in rows if row.id not in there}
            if len(lacking) == len(rows):
                raise
            self._add(list(lacking.values()))

    def insert_for_good(self, rows: list[AuditRow]) -> None:
        """The same: one database keeps what it took."""
        self.insert(rows)

    def lacking(self, ids: Sequence[str], writer: int) -> set[str]:  # noqa: ARG002 - as of a cluster
        """Those of `ids` that may be lost again: none, for one database keeps what it took."""
        return set()

    def _add(self, rows: list[AuditRow]) -> None:
        calls = [_call_values(row, n) for row in rows for n in range(len(row.calls))]
        if not rows:
            return
        with self._engine.begin() as connection:
            connection.execute(self._requests.insert(), [_values(r) for r in rows])
            if calls:
                connection.execute(self._calls.insert(), calls)

    def known(self, ids: Sequence[str]) -> set[str]:
        """Those of `ids` that are there."""
        import sqlalchemy as sa

        self._prepare()
        wanted = sa.select(self._requests.c.id).where(self._requests.c.id.in_(ids))
        with self._engine.connect() as connection:
            return {str(id_) for (id_,) in connection.execute(wanted)}

    def status(self) -> dict[str, str]:
        """What MariaDB says of its cluster, `wsrep_cluster_size` and the like; empty where it has none."""
        import sqlalchemy as sa

        with self._engine.connect() as connection:
            found = connection.execute(sa.text("SHOW GLOBAL STATUS LIKE 'wsrep\\_%'")).all()
            return {str(name): str(value) for name, value in found}

    def ping(self) -> None:
        """Make sure that the database answers and has the tables."""
        self._prepare()
        with self._engine.connect() as connection:
            connection.execute(self._requests.select().limit(1)).first()

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()

    def _prepare(self) -> None:
        if not self._ready:
            if self._file is not None:
                make_file(self._file)
            with self._engine.connect() as connection:
                upgrade(connection)
            self._ready = True


@cache
def audit_tables() -> tuple[TableClause, TableClause]:
    """The tables of requests and of their calls, which the migrations make.

    Their columns are the fields of rows and calls. Types are said only where a value has another form in the
    database. They are the same ones at each call, so that parts of a statement may come from several.
    """
    import sqlalchemy as sa

    types: dict[str, TypeEngine[Any]] = {
        "time": sa.DateTime(), "cost_usd": sa.Numeric(18, 9, asdecimal=False),
        "accepted": sa.Boolean(), "simulated": sa.Boolean(),
    }  # fmt: skip

    def table(name: str, *columns: str) -> TableClause:
        return sa.table(name, *(sa.column(column, types.get(column)) for column in columns))

    calls = table("audit_calls", "request_row", "number", "time", *CALL_COLUMNS)
    return table("audit_requests", *_ROW), calls


def database_errors() -> tuple[type[Exception], ...]:
    """What is raised by whoever uses an audit database. Imports SQLAlchemy: blocks the first time."""
    return first_use(_database_errors)


def _database_errors() -> tuple[type[Exception], ...]:
    import sqlalchemy as sa

    return sa.exc.SQLAlchemyError, OSError


def audit_engine(
    mysql: AuditServer | None, sqlite: Path, *, patience: float = READ_TIMEOUT, causal: bool = False
) -> Engine:
    """An engine with one connection to the audit database; nothing is connected yet.

    A server is given up that says nothing for `patience` seconds. `causal` is for members of a cluster: what
    is read then holds all that was committed on any of them before.
    """
    database_errors()
    return _mysql_engine(mysql, patience, causal=causal) if mysql else sqlite_engine(sqlite)


def _call_values(row: AuditRow, number: int) -> dict[str, Any]:
    call = row.calls[number]
    values: dict[str, Any] = {name: getattr(call, name) for name in CALL_COLUMNS}
    for name, limit in CALL_LIMITS.items():
        values[name] = values[name][:limit]
    time = row.time.astimezone(UTC).replace(tzinfo=None)
    return {**values, "request_row": row.id, "number": number, "time": time}


def _values(row: AuditRow) -> dict[str, Any]:
    # Not asdict, which copies deeply, each call's fields too: 4 % of an analysis' time, for the same values.
    values = {name: getattr(row, name) for name in _ROW}
    values["time"] = row.time.astimezone(UTC).replace(tzinfo=None)
    values["providers"] = json.dumps(row.providers, ensure_ascii=False)
    for name, limit in TEXT_LIMITS.items():
        if values[name] is not None:
            values[name] = values[name][:limit]
    return values


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
    if server.ca is not None:
        options["ssl"] = {"ca": str(server.ca)}  # with it PyMySQL checks the name of the server too
    return create_engine(
        url, pool_size=1, max_overflow=0, pool_pre_ping=True, hide_parameters=True, connect_args=options
    )
