"""Reads and writes incidents. Several instances, on one host or several, may do so at once.

Nobody waits for a lock. Who changes an incident says which version of it that rests on, and who opens one
takes the number after the highest that it saw. Of two at once the database refuses the later one, which looks
anew and decides again: what it would have opened is there by then.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from techsapo_ops.stores.audit.database import sqlite_engine
from techsapo_ops.stores.audit.rows import naive
from techsapo_ops.stores.audit.shared_tables import Forestalled, SharedTables
from techsapo_ops.stores.incidents.rows import (
    COLUMN,
    ENDLESS,
    LONGEST_TEXT,
    MOST_ENTRIES,
    Change,
    Entry,
    Event,
    Incident,
    IncidentAlert,
    State,
)

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Connection, TableClause

log = logging.getLogger("techsapo.incidents")


class IncidentStore(SharedTables):
    """The incidents of the stack: in its MariaDB, of a cluster in the first member that answers, or else in
    `sqlite`, the file of the one instance. Methods block, may be called from any thread, and raise Away.
    """

    def change(
        self, read: Callable[[Connection], State], decide: Callable[[State], Sequence[Change]]
    ) -> Sequence[Change]:
        """Write what `decide` makes of what `read` reads, all of it or nothing; what was written.

        It is decided anew where somebody else was first, so that what `decide` raises has to hold.
        """
        return self.by_one(lambda connection: _changed(connection, read, decide))

    def alter(self, number: int, decide: Callable[[Incident], Change | None]) -> Incident | None:
        """Change one incident as `decide` says, which says None for nothing; None where there is none."""

        def read(connection: Connection) -> State:
            return State(_incidents(connection, incidents_table().c.number == number))

        def one(state: State) -> Sequence[Change]:
            return [c for each in state.incidents if (c := decide(each)) is not None]

        self.change(read, one)
        return self.incident(number)

    def renew(self, number: int, worker: str, lease: datetime) -> bool:
        """Keep an incident for `worker` until `lease`; False where it is another's by now."""
        table = incidents_table()
        mine = (table.c.number == number, table.c.worker == worker, table.c.investigation == "running")
        statement = table.update().where(*mine).values(lease=naive(lease))
        return self.by_one(lambda connection: connection.execute(statement).rowcount == 1)

    def incident(self, number: int) -> Incident | None:
        """The incident of that number."""
        wanted = incidents_table().c.number == number
        return next(iter(self.by_one(lambda connection: _incidents(connection, wanted))), None)

    def incidents(
        self, *wanted: ColumnElement[bool], limit: int, oldest: bool = False
    ) -> tuple[Incident, ...]:
        """Those for which all of `wanted` hold, the newest first, or the oldest."""
        return self.by_one(lambda connection: _incidents(connection, *wanted, limit=limit, oldest=oldest))

    def alerts(self, number: int) -> tuple[IncidentAlert, ...]:
        """The alerts of an incident, the first to begin first."""
        wanted = alerts_table().c.incident == number
        return self.by_one(lambda connection: _alerts(connection, wanted))

    def entries(self, number: int) -> tuple[Entry, ...]:
        """The time line of an incident."""
        import sqlalchemy as sa

        table = entries_table()
        statement = sa.select(table).where(table.c.incident == number).order_by(table.c.number)
        rows = self.by_one(lambda connection: connection.execute(statement).mappings().all())
        return tuple(Entry(**{k: v for k, v in _aware(row).items() if k != "incident"}) for row in rows)

    def add_event(self, event: Event) -> None:
        """Keep an event, which nothing changes any more."""
        values = _values(event)
        self.by_one(lambda connection: connection.execute(events_table().insert(), values))

    def events(self, since: datetime, until: datetime, limit: int) -> tuple[Event, ...]:
        """The newest of that time, the newest first."""
        import sqlalchemy as sa

        table = events_table()
        statement = sa.select(table).where(table.c.time >= naive(since), table.c.time <= naive(until))
        statement = statement.order_by(table.c.time.desc(), table.c.id).limit(limit)
        rows = self.by_one(lambda connection: connection.execute(statement).mappings().all())
        return tuple(Event(**_aware(row)) for row in rows)

    @override
    def _take_over(self, connection: Connection) -> None:
        """Into a database without incidents and events, with their numbers. The file stays as it is."""
        import sqlalchemy as sa

        tables = (incidents_table(), alerts_table(), entries_table(), events_table())
        if any(connection.execute(sa.select(table).limit(1)).first() for table in (tables[0], tables[3])):
            return
        engine = sqlite_engine(self._sqlite)
        try:
            with engine.connect() as earlier:
                if not sa.inspect(earlier).has_table(tables[0].name):
                    return
                rows = [[dict(row) for row in earlier.execute(sa.select(t)).mappings()] for t in tables]
        except sa.exc.SQLAlchemyError as error:  # incidents go on without those of before
            log.warning("Incidents in SQLite can't be read, and are not taken over: %s", error)
            return
        finally:
            engine.dispose()
        for table, those in zip(tables, rows, strict=True):
            if those:
                connection.execute(table.insert(), those)
        log.info("Incidents of SQLite were taken over", extra={"incidents": len(rows[0])})


def related_to(fingerprints: Iterable[str], since: datetime) -> Callable[[Connection], State]:
    """Reads what alerts of these fingerprints may belong to: the open incidents, those that ended after
    `since`, and of the alerts those that still fire, wherever, or are in one of them.
    """
    wanted = frozenset(fingerprints)

    def read(connection: Connection) -> State:
        import sqlalchemy as sa

        table, alerts = incidents_table(), alerts_table()
        incidents = _incidents(connection, sa.or_(table.c.ended.is_(None), table.c.ended >= naive(since)))
        recent = {each.number for each in incidents}
        fits = sa.or_(alerts.c.ended.is_(None), alerts.c.incident.in_(recent))
        known = _alerts(connection, alerts.c.fingerprint.in_(wanted), fits)
        firing = {a.incident for a in known} - recent
        older = _incidents(connection, table.c.number.in_(firing)) if firing else ()
        last = connection.execute(sa.select(sa.func.max(table.c.number))).scalar()
        return State(incidents + older, known, last or 0)

    return read


def open_ones(connection: Connection) -> State:
    """The open incidents, and those of their alerts that fire."""
    import sqlalchemy as sa

    incidents, alerts = incidents_table(), alerts_table()
    numbers = sa.select(incidents.c.number).where(incidents.c.ended.is_(None))
    firing = _alerts(connection, alerts.c.ended.is_(None), alerts.c.incident.in_(numbers))
    return State(_incidents(connection, incidents.c.ended.is_(None)), firing)


def waiting(now: datetime) -> ColumnElement[bool]:
    """Which incidents wait for somebody who investigates them: nobody does, or who did died."""
    import sqlalchemy as sa

    c = incidents_table().c
    left = sa.and_(c.investigation == "running", c.lease < naive(now))
    return sa.or_(c.investigation == "due", left)


def of_alert(name: str) -> ColumnElement[bool]:
    """The incidents that an alert of that name is in."""
    import sqlalchemy as sa

    alerts = alerts_table()
    members = sa.select(alerts.c.incident).where(alerts.c.name == name)
    return incidents_table().c.number.in_(members)


def _changed(
    connection: Connection, read: Callable[[Connection], State], decide: Callable[[State], Sequence[Change]]
) -> Sequence[Change]:
    state = read(connection)
    known = {each.number: each for each in state.incidents}
    changes = sorted(decide(state), key=lambda change: change.incident.number)
    for change in changes:
        _write(connection, change, known.get(change.incident.number))
    return changes


def _write(connection: Connection, change: Change, before: Incident | None) -> None:
    incident, alerts = incidents_table(), alerts_table()
    crowded = before is not None and before.entries >= MOST_ENTRIES
    entries = [e for e in change.entries if not (crowded and e.kind in ENDLESS)]
    number, first = change.incident.number, change.incident.entries + 1
    values = _values(
        replace(change.incident, version=change.incident.version + 1, entries=first - 1 + len(entries))
    )
    if before is None:
        connection.execute(incident.insert(), values)
    else:
        same = (incident.c.number == number, incident.c.version == before.version)
        if connection.execute(incident.update().where(*same).values(values)).rowcount != 1:
            raise Forestalled
    for each in change.alerts:
        same = (alerts.c.incident == each.incident, alerts.c.fingerprint == each.fingerprint)
        if not connection.execute(alerts.update().where(*same).values(_values(each))).rowcount:
            connection.execute(alerts.insert(), _values(each))
    if entries:
        rows = [_entry(number, replace(entry, number=first + n)) for n, entry in enumerate(entries)]
        connection.execute(entries_table().insert(), rows)


def _entry(incident: int, entry: Entry) -> dict[str, Any]:
    return {"incident": incident, **_values(entry), "text": entry.text[:LONGEST_TEXT]}


def _incidents(
    connection: Connection, *wanted: ColumnElement[bool], limit: int | None = None, oldest: bool = False
) -> tuple[Incident, ...]:
    import sqlalchemy as sa

    table = incidents_table()
    order = table.c.number if oldest else table.c.number.desc()
    statement = sa.select(table).where(*wanted).order_by(order).limit(limit)
    rows = connection.execute(statement).mappings()
    return tuple(
        Incident(**{**_aware(row), "subjects": frozenset(json.loads(row["subjects"]))}) for row in rows
    )


def _alerts(connection: Connection, *wanted: ColumnElement[bool]) -> tuple[IncidentAlert, ...]:
    import sqlalchemy as sa

    table = alerts_table()
    statement = sa.select(table).where(*wanted).order_by(table.c.began, table.c.fingerprint)
    rows = connection.execute(statement).mappings()
    return tuple(IncidentAlert(**{**_aware(row), "labels": json.loads(row["labels"])}) for row in rows)


def _values(row: Incident | IncidentAlert | Entry | Event) -> dict[str, Any]:
    """As the database has it: times without their zone, collections as JSON, texts as long as fits."""
    return {name: _plain(name, value) for name, value in asdict(row).items()}


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return naive(value)
    if isinstance(value, frozenset):
        return json.dumps(sorted(value), ensure_ascii=False)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return value[: COLUMN[name]] if isinstance(value, str) and name in COLUMN else value


def _aware(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        str(name): value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
        for name, value in row.items()
    }


@cache
def incidents_table() -> TableClause:
    """The table of incidents, which a migration makes, as are the others."""
    return _table("incidents", Incident)


@cache
def alerts_table() -> TableClause:
    """The table of their alerts."""
    return _table("incident_alerts", IncidentAlert)


@cache
def entries_table() -> TableClause:
    """The table of their time lines."""
    return _table("incident_entries", Entry, "incident")


@cache
def events_table() -> TableClause:
    """The table of events."""
    return _table("incident_events", Event)


def _table(name: str, row: type, *others: str) -> TableClause:
    import sqlalchemy as sa

    times = {"began", "quiet", "ended", "investigated", "lease", "reported", "time", "recorded"}
    types: dict[str, Any] = dict.fromkeys(times, sa.DateTime()) | {"pages": sa.Boolean()}
    names = (*others, *(f.name for f in fields(row)))
    return sa.table(name, *(sa.column(each, types.get(each)) for each in names))
