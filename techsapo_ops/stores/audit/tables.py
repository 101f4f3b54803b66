"""The audit tables, in MySQL/MariaDB or SQLite."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from techsapo_ops.stores.audit.database import READ_TIMEOUT, AuditServer, audit_engine, make_file
from techsapo_ops.stores.audit.migrate import upgrade
from techsapo_ops.stores.audit.spool import AuditCall, AuditRow

if TYPE_CHECKING:
    from sqlalchemy import TableClause
    from sqlalchemy.types import TypeEngine

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
