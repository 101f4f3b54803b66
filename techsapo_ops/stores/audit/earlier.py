"""The history that an instance kept in SQLite, before the stack had MariaDB: it goes there, once.

The file stays as it is, for a way back to a spec without MariaDB. Beside it stands how many of its rows are
in the database; where it has more again, because there was such a way back, the rest follows.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.stores.audit.costs import charged
from techsapo_ops.stores.audit.database import sqlite_engine
from techsapo_ops.stores.audit.spool import AuditCall, AuditRow
from techsapo_ops.stores.audit.store import CALL_COLUMNS, audit_tables

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger("techsapo.audit")
BATCH = 500
NOTE = ".taken-over"
"""Ending of the note beside the file."""


class EarlierRows:
    """The rows of the SQLite `file`, which `insert` writes; it says whether it could. Of one thread.

    `insert` leaves out what is there already, so that a take-over that was cut short begins anew.
    """

    def __init__(self, file: Path, insert: Callable[[list[AuditRow]], bool]) -> None:
        self._insert = insert
        self._file = file
        self._note = file.with_name(file.name + NOTE)
        self._rows: Iterator[list[AuditRow]] | None = None
        self._count = 0
        self.over = not file.exists()
        """Whether nothing is left to do."""

    def go_on(self) -> None:
        """Write the next BATCH; a database that refuses it is asked again. Raises what SQLite raises."""
        if self._rows is None:
            self._rows = self._batches()
        rows = next(self._rows, [])
        if rows and not self._insert(rows):
            self._rows = None
            return
        self._count += len(rows)
        if rows:
            return
        self.over = True
        if self._count:
            write_atomic(self._note, f"{self._count}\n".encode(), mode=0o600)
            log.info("Audit rows of SQLite were taken over", extra={"rows": self._count})

    def _batches(self) -> Iterator[list[AuditRow]]:
        import sqlalchemy as sa

        requests, calls = audit_tables()
        self._count = 0
        with _history(self._file) as connection:
            if connection is None:
                return
            last = ""
            while True:
                wanted = sa.select(requests).where(requests.c.id > last).order_by(requests.c.id).limit(BATCH)
                rows = connection.execute(wanted).mappings().all()
                if not rows:
                    return
                last = str(rows[-1]["id"])
                by_row = _calls(connection, calls, [str(row["id"]) for row in rows])
                yield [_row(row, by_row.get(str(row["id"]), ())) for row in rows]


def spent_earlier(file: Path, since: datetime, key_id: str | None, *, simulated: bool) -> dict[str, float]:
    """By id what each request in the SQLite `file` was charged since then, in USD: see `spent_since`.

    Nothing once its rows are taken over. Raises SQLAlchemyError or OSError.
    """
    if not file.exists():
        return {}
    import sqlalchemy as sa

    requests, _ = audit_tables()
    wanted = sa.select(requests.c.id, requests.c.cost_usd).where(*charged(since, key_id, simulated=simulated))
    with _history(file) as connection:
        if connection is None:
            return {}
        return {str(id_): float(cost) for id_, cost in connection.execute(wanted)}


@contextmanager
def _history(file: Path) -> Iterator[Connection | None]:
    """A connection to `file`; None where the note beside it tells of as many rows as there are."""
    import sqlalchemy as sa

    requests, _ = audit_tables()
    engine = sqlite_engine(file)
    try:
        with engine.connect() as connection:
            count = connection.execute(sa.select(sa.func.count()).select_from(requests)).scalar()
            noted = None
            with suppress(OSError, ValueError):
                noted = int(file.with_name(file.name + NOTE).read_text("ascii"))
            yield connection if noted != count else None
    finally:
        engine.dispose()


def _calls(connection: Connection, calls: Any, ids: list[str]) -> dict[str, tuple[AuditCall, ...]]:
    import sqlalchemy as sa

    wanted = (
        sa.select(calls).where(calls.c.request_row.in_(ids)).order_by(calls.c.request_row, calls.c.number)
    )
    by_row: dict[str, tuple[AuditCall, ...]] = {}
    for call in connection.execute(wanted).mappings():
        made = AuditCall(**{name: call[name] for name in CALL_COLUMNS})
        by_row[str(call["request_row"])] = (*by_row.get(str(call["request_row"]), ()), made)
    return by_row


def _row(values: Any, calls: tuple[AuditCall, ...]) -> AuditRow:
    columns = dict(values)
    columns["time"] = columns["time"].replace(tzinfo=UTC)
    columns["providers"] = tuple(json.loads(columns["providers"]))
    columns["sources"] = tuple(json.loads(columns["sources"] or "[]"))
    return AuditRow(**columns, calls=calls)
