"""What a database holds: tables, rows, checksums, routines, and where its binlog stands."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from techsapo_ops.messages import msg
from techsapo_ops.services.mysql.accounts import literal, name
from techsapo_ops.services.mysql.session import Session

_MIGRATIONS = "alembic_version"
"""The table of alembic's own."""
_PLAIN = frozenset({"InnoDB"})
"""Engines whose tables a consistent snapshot covers."""
_COUNTER = re.compile(r" AUTO_INCREMENT=\d+")
"""It counts on outside of transactions, so it is of another moment than the rows."""


def begin(session: Session) -> dict[str, Any]:
    """Open a consistent snapshot and return its place in the binlog; empty where there is none."""
    session.ask("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    session.ask("START TRANSACTION WITH CONSISTENT SNAPSHOT")
    status = {row[0].lower(): row[1] for row in session.ask("SHOW STATUS LIKE 'binlog_snapshot_%'")}
    if not status.get("binlog_snapshot_file"):
        return {}
    return {"file": status["binlog_snapshot_file"], "position": int(status["binlog_snapshot_position"])}


def collect(session: Session, database: str) -> dict[str, Any]:
    """Tables with their rows, checksums and digests of what they are made of; sequences, views, triggers,
    routines and events by digest.
    """
    where = literal(database)
    tables = {}
    listed = session.ask(
        f"SELECT TABLE_NAME, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = {where} "
        "AND TABLE_TYPE = 'BASE TABLE' ORDER BY TABLE_NAME"
    )
    for table, engine in listed:
        full = f"{name(database)}.{name(table)}"
        tables[table] = {
            "engine": engine,
            "rows": int(session.one(f"SELECT COUNT(*) FROM {full}")),
            "checksum": session.ask(f"CHECKSUM TABLE {full}")[0][1],
            "made of": _made_of(session, full),
        }
    listed = session.ask(
        f"SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {where} "
        "AND TABLE_TYPE = 'SEQUENCE' ORDER BY TABLE_NAME"
    )
    sequences = {
        f"sequence {each}": _made_of(session, f"{name(database)}.{name(each)}") for (each,) in listed
    }
    return {
        "tables": tables,
        **_others(session, database),
        "objects": {**sequences, **_objects(session, database)},
    }


def _made_of(session: Session, full: str) -> str:
    """Digest of columns, indexes, constraints, partitions and options: CHECKSUM TABLE knows of none."""
    text = session.ask(f"SET STATEMENT sql_mode='' FOR SHOW CREATE TABLE {full}")[0][1]
    return hashlib.sha256(_COUNTER.sub("", text).encode()).hexdigest()


def rows(session: Session, database: str) -> dict[str, int]:
    """Rows by table, as they are now."""
    listed = session.ask(
        f"SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = {literal(database)} "
        "AND TABLE_TYPE = 'BASE TABLE' ORDER BY TABLE_NAME"
    )
    return {t: int(session.one(f"SELECT COUNT(*) FROM {name(database)}.{name(t)}")) for (t,) in listed}


def revision(session: Session, database: str) -> str | None:
    """The revision of the last migration of `database`; None where it has none."""
    there = session.one(
        f"SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = {literal(database)} "
        f"AND TABLE_NAME = '{_MIGRATIONS}'"
    )
    if there == "0":
        return None
    return session.one(f"SELECT version_num FROM {name(database)}.{_MIGRATIONS}") or None


def _others(session: Session, database: str) -> dict[str, int]:
    where = literal(database)
    asked = {
        "views": f"TABLES WHERE TABLE_TYPE = 'VIEW' AND TABLE_SCHEMA = {where}",
        "triggers": f"TRIGGERS WHERE TRIGGER_SCHEMA = {where}",
        "routines": f"ROUTINES WHERE ROUTINE_SCHEMA = {where}",
        "events": f"EVENTS WHERE EVENT_SCHEMA = {where}",
    }
    return {
        key: int(session.one(f"SELECT COUNT(*) FROM information_schema.{source}"))
        for key, source in asked.items()
    }


_PARAMETERS = (
    "(SELECT GROUP_CONCAT(CONCAT_WS(' ', ORDINAL_POSITION, PARAMETER_MODE, PARAMETER_NAME, DTD_IDENTIFIER) "
    "ORDER BY ORDINAL_POSITION) FROM information_schema.PARAMETERS p WHERE p.SPECIFIC_SCHEMA = "
    "r.ROUTINE_SCHEMA AND p.SPECIFIC_NAME = r.SPECIFIC_NAME AND p.ROUTINE_TYPE = r.ROUTINE_TYPE)"
)
_DEFINED = (
    (
        "CONCAT('view ', TABLE_NAME)",
        ("VIEW_DEFINITION", "CHECK_OPTION", "SECURITY_TYPE", "DEFINER", "ALGORITHM"),
        "VIEWS WHERE TABLE_SCHEMA",
    ),
    (
        "CONCAT('trigger ', TRIGGER_NAME)",
        (
            "EVENT_OBJECT_TABLE", "ACTION_TIMING", "EVENT_MANIPULATION", "ACTION_ORDER", "ACTION_STATEMENT",
            "SQL_MODE", "DEFINER",
        ),
        "TRIGGERS WHERE TRIGGER_SCHEMA",
    ),
    (
        "CONCAT(LOWER(ROUTINE_TYPE), ' ', ROUTINE_NAME)",
        (
            _PARAMETERS, "DTD_IDENTIFIER", "ROUTINE_DEFINITION", "IS_DETERMINISTIC", "SQL_DATA_ACCESS",
            "SECURITY_TYPE", "SQL_MODE", "ROUTINE_COMMENT", "DEFINER",
        ),
        "ROUTINES r WHERE ROUTINE_SCHEMA",
    ),
    (
        "CONCAT('event ', EVENT_NAME)",
        (
            "EVENT_DEFINITION", "EVENT_TYPE", "EXECUTE_AT", "INTERVAL_VALUE", "INTERVAL_FIELD", "STARTS",
            "ENDS", "STATUS", "ON_COMPLETION", "SQL_MODE", "TIME_ZONE", "DEFINER",
        ),
        # One whose time has come is dropped by the server itself, when it is loaded too.
        "EVENTS WHERE (ON_COMPLETION = 'PRESERVE' OR COALESCE(EXECUTE_AT, ENDS) IS NULL) AND EVENT_SCHEMA",
    ),
)  # fmt: skip
"""What is neither a table nor a row: its name, what it is made of, and where the server tells of it."""


def _objects(session: Session, database: str) -> dict[str, str]:
    """Digests of views, triggers, routines and events by kind and name, such as `procedure tidy`."""
    digests: dict[str, str] = {}
    for title, columns, source in _DEFINED:
        whole = ", ".join(f"COALESCE({column}, '-')" for column in columns)
        listed = session.ask(
            f"SELECT {title}, SHA2(CONCAT_WS('|', {whole}), 256) FROM information_schema.{source} = "
            f"{literal(database)} ORDER BY 1"
        )
        digests.update((each, digest) for each, digest in listed)
    return digests


def differences(facts: Mapping[str, Any], session: Session, database: str, *, checksums: bool) -> list[str]:
    """How a restored database differs from the facts of its backup, one sentence each.

    `checksums` is False where the server's version differs: CHECKSUM TABLE depends on the row format, and
    the text of a definition on who prints it.
    """
    current = collect(session, database)
    wrong = []
    was: Mapping[str, Mapping[str, Any]] = facts["tables"]
    exact = bool(facts["exact"])
    for table in sorted({*was, *current["tables"]}):
        if table not in current["tables"]:
            wrong.append(msg("table {table} is missing", table=table))
            continue
        if table not in was:
            wrong.append(msg("table {table} is not in the backup", table=table))
            continue
        before, after = was[table], current["tables"][table]
        if checksums and exact and before.get("made of", after["made of"]) != after["made of"]:
            wrong.append(msg("table {table} has different columns, indexes or options", table=table))
        if not exact or before["engine"] not in _PLAIN:
            continue  # counted at another moment than it was dumped
        if before["rows"] != after["rows"]:
            wrong.append(
                msg(
                    "table {table} has {after} rows, not {before}",
                    table=table,
                    after=after["rows"],
                    before=before["rows"],
                )
            )
        elif checksums and before["checksum"] != after["checksum"]:
            wrong.append(
                msg(
                    "table {table} has different contents: checksum {after}, not {before}",
                    table=table,
                    after=after["checksum"],
                    before=before["checksum"],
                )
            )
    return [*wrong, *_other_objects(facts["objects"], current["objects"], definitions=checksums)]


def _other_objects(was: Mapping[str, str], now: Mapping[str, str], *, definitions: bool) -> Iterator[str]:
    """One sentence for each that is missing, new or another; another server may write one differently."""
    for each in sorted({*was, *now}):
        if each not in now:
            yield msg("{each} is missing", each=each)
        elif each not in was:
            yield msg("{each} is not in the backup", each=each)
        elif definitions and was[each] != now[each]:
            yield msg("{each} differs from the backup", each=each)
