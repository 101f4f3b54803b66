"""Writes and reads labels, and what they are about. A row is never changed: who thinks otherwise adds one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from techsapo_ops.stores.audit.database import AuditServer
from techsapo_ops.stores.audit.rows import from_each, naive
from techsapo_ops.stores.audit.shared_tables import SharedTables
from techsapo_ops.stores.audit.store import audit_tables
from techsapo_ops.stores.labels.rows import AnsweredRequest, Label, StoredAnswer

if TYPE_CHECKING:
    from sqlalchemy import Connection, TableClause

MOST_READ = 20_000
"""Requests that are read at once, the newest."""
MOST_LABELS = 50
"""Labels of one person about one request: further changes of mind are refused."""


class TooManyLabels(Exception):
    """Somebody has said too much of one answer."""


class LabelStore(SharedTables):
    """The labels of the stack, in one table for all instances."""

    def add(self, label: Label) -> bool:
        """Store a label, once however often it is given. False where no answer to its request is known.

        Raises TooManyLabels.
        """
        import sqlalchemy as sa

        table, requests = labels_table(), audit_tables()[0]
        known = sa.select(requests.c.id).where(
            requests.c.request_id == label.request_id, requests.c.panel.is_not(None)
        )
        said = sa.select(sa.func.count()).where(
            table.c.request_id == label.request_id, table.c.who == label.who
        )
        values = {**asdict(label), "at": naive(label.at)}
        # A member that died after its commit has told nobody: another one is given the same label.
        there = sa.select(table.c.id).where(table.c.id == label.id)

        def write(connection: Connection) -> bool:
            if connection.execute(known.limit(1)).first() is None:
                return False
            if connection.execute(there).first() is not None:
                return True
            if (connection.execute(said).scalar() or 0) >= MOST_LABELS:
                raise TooManyLabels
            connection.execute(table.insert(), values)
            return True

        return self.by_one(write)

    def answered(self, since: datetime, most: int = MOST_READ) -> tuple[AnsweredRequest, ...]:
        """The requests since then that have a verdict, the newest first, at most `most`."""
        return self.by_one(lambda connection: _answered(connection, since, most))

    def texts(self, request_id: str) -> StoredAnswer | None:
        """Question and answer of the newest request of that id that has a verdict."""
        import sqlalchemy as sa

        columns = [audit_tables()[0].c[f.name] for f in fields(StoredAnswer)]
        requests = audit_tables()[0]
        wanted = sa.select(*columns).where(requests.c.request_id == request_id, requests.c.panel.is_not(None))
        newest = wanted.order_by(requests.c.time.desc()).limit(1)
        row = self.by_one(lambda connection: connection.execute(newest).mappings().first())
        return None if row is None else StoredAnswer(**{**row, "time": row["time"].replace(tzinfo=UTC)})


def read_answered(
    mysql: AuditServer | None, databases: Sequence[Path], since: datetime
) -> tuple[AnsweredRequest, ...]:
    """The same as `answered`, of MySQL or of each of the SQLite files. Raises OpsError."""
    each = from_each(mysql, databases, lambda connection: _answered(connection, since, MOST_READ))
    return tuple(row for rows in each for row in rows)


def _answered(connection: Connection, since: datetime, most: int) -> tuple[AnsweredRequest, ...]:
    import sqlalchemy as sa

    table, requests = labels_table(), audit_tables()[0]
    names = [f.name for f in fields(AnsweredRequest) if f.name != "labels"]
    wanted = (
        sa.select(*(requests.c[name] for name in names))
        .where(requests.c.time >= naive(since), requests.c.panel.is_not(None))
        .order_by(requests.c.time.desc())
        .limit(most)
    )
    rows = connection.execute(wanted).mappings().all()
    said: dict[str, list[Label]] = defaultdict(list)
    # No label is older than its answer, but the clocks of two hosts differ.
    first = min((row["time"] for row in rows), default=naive(since)) - timedelta(hours=1)
    labels = sa.select(table).where(table.c.at >= first)
    for row in connection.execute(labels.order_by(table.c.at, table.c.id)).mappings():
        said[str(row["request_id"])].append(Label(**{**row, "at": row["at"].replace(tzinfo=UTC)}))
    return tuple(
        AnsweredRequest(
            **{**row, "time": row["time"].replace(tzinfo=UTC), "simulated": bool(row["simulated"])},
            labels=tuple(said.get(str(row["request_id"]), ())),
        )
        for row in rows
    )


@cache
def labels_table() -> TableClause:
    """The table, which a migration makes."""
    import sqlalchemy as sa

    types: dict[str, Any] = {"at": sa.DateTime(), "solved": sa.Boolean()}
    return sa.table("answer_labels", *(sa.column(f.name, types.get(f.name)) for f in fields(Label)))
