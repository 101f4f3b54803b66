"""The audit tables, in MySQL/MariaDB, a cluster of them, or SQLite."""

from __future__ import annotations

import json
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from techsapo_ops.stores.audit.database import (
    READ_TIMEOUT,
    AuditServer,
    audit_engine,
    database_errors,
    make_file,
)
from techsapo_ops.stores.audit.migrate import upgrade
from techsapo_ops.stores.audit.spool import AuditCall, AuditRow
from techsapo_ops.stores.budget_ledger import nano

if TYPE_CHECKING:
    from sqlalchemy import TableClause
    from sqlalchemy.types import TypeEngine


log = logging.getLogger("techsapo.audit")

PATIENCE = 4.0
"""Seconds after which a member that says nothing is left for another one: a cluster needs half of that to do
without a member that it lost, and commits of the others wait for it. What it was asked for may be written."""
PROBE_PATIENCE = 1.0
"""The same, when it is only looked whether the own host's member is back."""
REST = 15.0
"""Seconds for which a member that could not be asked is asked after the others."""
SETTLED = 1.0
"""Seconds after which rows are looked for that a member took."""
_DEADLOCK = 1213
"""What a commit is told that lost against another one of the cluster, by MariaDB's ER_LOCK_DEADLOCK."""
TEXT_LIMITS = {
    "instance": 64, "request_id": 128, "user_id": 64, "status": 32, "key_id": 32, "claimed_user": 64,
}  # fmt: skip
CALL_LIMITS = {"provider": 64, "model": 128, "status": 32, "version": 128}
_ROW = tuple(f.name for f in fields(AuditRow) if f.name != "calls")
CALL_COLUMNS = tuple(f.name for f in fields(AuditCall))


RESTORED = "restored"
"""Begins the ids of rows that a restore adds, for what was spent after the backup. They are in no sum: what a
restore brings back may have no table of sums yet."""
_WORDS = {
    "sqlite": ("?", " ON CONFLICT DO UPDATE SET nano = nano + excluded.nano"),
    "mysql": ("%s", " ON DUPLICATE KEY UPDATE nano = nano + VALUES(nano)"),
}
"""By SQLAlchemy's word for a database, what stands for a value, and what adds to a sum that is there."""


class AuditStore:
    """Writes audit rows; made and used by one thread. Methods raise SQLAlchemyError or OSError.

    A server that says nothing for `patience` seconds is given up. With the rows goes what they cost, into the
    sums by hour and API key, and without a key of all. Each instance has sums of its own, which no other one
    waits for or, in a cluster, changes at the same time.
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
        value, add = _WORDS[self._engine.dialect.name]
        # As text, with plain tuples: SQLAlchemy's handling of each value was a third of the time of a row.
        self._into = [_insert_into(table, value) for table in (self._requests, self._calls, spent_table())]
        self._into[-1] += add
        self._ready = False

    def insert(self, rows: list[AuditRow]) -> None:
        """Write rows in one transaction; rows that are there already stay as they are.

        By INSERT alone: the account may change no row, and "on duplicate key" would need that right. Sums it
        may change.
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
        calls = [values for row in rows for values in _call_values(row)]
        batches = [_values(row) for row in rows], calls, _sums(rows)
        with self._engine.begin() as connection:
            for into, values in zip(self._into, batches, strict=True):
                if values:
                    connection.exec_driver_sql(into, values)

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
            rows = connection.execute(sa.text("SHOW GLOBAL STATUS LIKE 'wsrep\\_%'")).all()
            return {str(name): str(value) for name, value in rows}

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


@cache
def spent_table() -> TableClause:
    """The table of what was spent in each hour (UTC), in nano-dollars. The `key_id` of all requests is ""."""
    import sqlalchemy as sa

    names = ("key_id", "hour", "simulated", "instance", "nano")
    return sa.table("audit_spent", *(sa.column(name) for name in names))


def _insert_into(table: TableClause, value: str) -> str:
    names = [column.name for column in table.columns]
    values = ", ".join([value] * len(names))
    return f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({values})"  # noqa: S608 - our own words


def _sums(rows: Sequence[AuditRow]) -> list[tuple[Any, ...]]:
    """What `rows` add to what was spent, in its table's order: no two writers wait for each other in turn."""
    sums: Counter[tuple[str, str, bool, str]] = Counter()
    for row in rows:
        if row.cost_usd and not row.id.startswith(RESTORED):
            for key in {"", row.key_id or ""}:
                place = key[: TEXT_LIMITS["key_id"]], _moment(row)[:13], row.simulated
                sums[*place, row.instance[: TEXT_LIMITS["instance"]]] += nano(row.cost_usd)
    return [(*place, amount) for place, amount in sorted(sums.items())]


def _moment(row: AuditRow) -> str:
    """Its time as both databases write it."""
    return row.time.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def _call_values(row: AuditRow) -> Iterator[tuple[Any, ...]]:
    moment = _moment(row)
    for number, call in enumerate(row.calls):
        values: dict[str, Any] = {name: getattr(call, name) for name in CALL_COLUMNS}
        for name, limit in CALL_LIMITS.items():
            values[name] = values[name][:limit]
        yield row.id, number, moment, *values.values()


def _values(row: AuditRow) -> tuple[Any, ...]:
    # Not asdict, which copies deeply, each call's fields too: 4 % of an analysis' time, for the same values.
    values = {name: getattr(row, name) for name in _ROW}
    values["time"] = _moment(row)
    values["providers"] = json.dumps(row.providers, ensure_ascii=False)
    values["sources"] = json.dumps(row.sources, ensure_ascii=False) if row.sources else None
    for name, limit in TEXT_LIMITS.items():
        if values[name] is not None:
            values[name] = values[name][:limit]
    return tuple(values.values())


FIRST_PROBE, LAST_PROBE = 5.0, 60.0
"""Seconds until that, doubled each time that it is not."""


class ClusterStore:
    """Writes audit rows; made and used by one thread. Methods raise SQLAlchemyError or OSError.

    One member takes them: the first of `server`, else the next that does, until the first one is back.
    """

    settles = SETTLED

    def __init__(self, server: AuditServer, clock: Callable[[], float] = time.monotonic) -> None:
        self._names = [each.place for each in server.members]
        self._members = [AuditStore(each, Path(), patience=PATIENCE, causal=True) for each in server.members]
        self._first = AuditStore(server.members[0], Path(), patience=PROBE_PATIENCE, causal=True)
        self._clock = clock
        self._wait = FIRST_PROBE
        self._probe_at = 0.0
        self._failed_at = [float("-inf")] * len(self._members)
        self.member = 0
        """The number of the member that takes the rows."""

    def insert(self, rows: list[AuditRow]) -> None:
        """Write rows in one transaction of the first member that takes them; those that are there stay."""
        self._by_one(lambda member: _insert(member, rows))

    def insert_for_good(self, rows: list[AuditRow]) -> None:
        """The same for rows that wait nowhere else: returns when they are read back from others, too."""
        import sqlalchemy as sa

        self.insert(rows)
        if self.lacking([row.id for row in rows], self.member):
            raise sa.exc.InvalidRequestError("rows that one member took are not in the cluster yet")

    def ping(self) -> None:
        """Make sure that a member answers and has the tables."""
        self._by_one(AuditStore.ping)

    def lacking(self, ids: Sequence[str], writer: int) -> set[str]:
        """Those of `ids` that are not in the cluster for good, after its member `writer` took them.

        A member alone may lose what it took: where it was cut off, or is lost itself, the others go on
        without. So each id has to be on as many members as one of which is in any majority: the writer and
        half of the others. Fewer are asked only where the cluster says that it has fewer. Raises what the
        last one that could not be asked did.
        """
        needed = len(self._members) // 2
        asked, missing = 0, set[str]()
        failure: Exception | None = None
        now = self._clock()
        # Those first that answered: one that hangs costs its patience, once in a while.
        for number in sorted(self._others(writer), key=lambda n: now - self._failed_at[n] < REST):
            if asked == needed:
                break
            try:
                missing |= set(ids) - self._members[number].known(ids)
                asked += 1
            except database_errors() as error:
                failure = error
                self._failed_at[number] = self._clock()
        if failure is not None and asked < needed and asked < self._size(writer) - 1:
            raise failure
        return missing if asked else set(ids) - self._members[writer].known(ids)

    def close(self) -> None:
        """Close the connections."""
        for store in (*self._members, self._first):
            store.close()

    def _size(self, number: int) -> float:
        """How many members the cluster of a member says that it has; infinite where it is not sure."""
        status = self._members[number].status()
        primary = status.get("wsrep_cluster_status") == "Primary"
        return int(status["wsrep_cluster_size"]) if primary else math.inf

    def _others(self, number: int) -> list[int]:
        count = len(self._members)
        return [(number + n) % count for n in range(1, count)]

    def _by_one(self, do: Callable[[AuditStore], None]) -> None:
        self._go_home()
        failure: Exception | None = None
        for number in (self.member, *self._others(self.member)):
            try:
                do(self._members[number])
            except database_errors() as error:
                failure = error
                self._failed_at[number] = self._clock()
                continue
            if number != self.member:
                self._go_to(number)
            return
        assert failure is not None  # noqa: S101 - a cluster has members
        raise failure

    def _go_to(self, number: int) -> None:
        log.warning(
            "Audit rows go to another member of the cluster",
            extra={"member": self._names[number], "instead_of": self._names[self.member]},
        )
        self.member, self._wait = number, FIRST_PROBE
        self._probe_at = self._clock() + self._wait

    def _go_home(self) -> None:
        if self.member == 0 or self._clock() < self._probe_at:
            return
        try:
            self._first.ping()
        except database_errors():
            self._wait = min(LAST_PROBE, 2 * self._wait)
            self._probe_at = self._clock() + self._wait
            return
        log.info("Audit rows go to this host's member again", extra={"member": self._names[0]})
        self.member = 0


def _insert(member: AuditStore, rows: list[AuditRow]) -> None:
    import sqlalchemy as sa

    try:
        member.insert(rows)
    except sa.exc.OperationalError as error:
        if error.orig is None or error.orig.args[:1] != (_DEADLOCK,):
            raise
        member.insert(rows)
