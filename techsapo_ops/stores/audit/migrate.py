"""Brings the audit database to the newest schema, by the alembic migrations beside this file."""

from __future__ import annotations

import io
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

HEAD = "0002"
"""The newest migration; a test holds it to the files. 0.1.0 knows it, and writes nothing into a database of a
newer one: what it may pass over is in ADDED and moves no number.
"""
ADDED = {"claimed_user": 64}
"""Columns of audit_requests that came later, by their length: text that may be absent."""
MIGRATIONS = Path(__file__).parent / "migrations"
LOCK = "techsapo_audit_migrations"
"""What whoever migrates holds, by GET_LOCK."""
_DIALECT = "mysql"
"""SQLAlchemy's word for MariaDB's SQL too."""
_FIRST = "0001"
_DENIED = frozenset({1044, 1142})
"""What MariaDB says where an account lacks a right: to a database, to a table."""
_LOCK_SECONDS = 30
_ONE_AT_A_TIME = threading.Lock()


def upgrade(connection: Connection) -> None:
    """Run the migrations that `connection`'s database lacks; safe when several instances start at once.

    Alembic is imported only where there is something to do. Raises SQLAlchemyError, also where another
    instance has been migrating for longer than half a minute, and where the account may not.
    """
    import sqlalchemy as sa

    with _ONE_AT_A_TIME:
        try:
            if _revision(connection) != HEAD:
                _migrate(connection)
            if _lacking(connection):
                _add(connection)
            connection.rollback()  # what was read holds nothing
        except sa.exc.DBAPIError as error:
            if error.orig is None or _DENIED.isdisjoint(error.orig.args[:1]):
                raise
            raise sa.exc.InvalidRequestError(
                "the audit database has an older schema, which this account may not alter: `techsapo up` does"
            ) from None


def sql_from(revision: str | None, columns: Collection[str]) -> str:
    """SQL that brings a MariaDB from `revision` to the newest schema; empty where it is there.

    `revision` is None where the database has none yet; `columns` are those of its audit_requests. It is for
    who reaches the database by its own client alone. What was cut short half way is gone on with.
    """
    lacking = [
        f"ALTER TABLE audit_requests ADD COLUMN IF NOT EXISTS {name} VARCHAR({length});\n"
        for name, length in ADDED.items()
        if name not in columns
    ]
    return _migrations_from(revision, columns) + "".join(lacking)


def _migrations_from(revision: str | None, columns: Collection[str]) -> str:
    if revision == HEAD:
        return ""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    written = io.StringIO()
    config = Config(output_buffer=written)
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["dialect"] = _DIALECT
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        return ""  # a newer version's, which adds what this one does not use
    if revision is None and columns:  # version 0.1.0 made it, or a run that was cut short
        command.stamp(config, _FIRST, sql=True)
        revision = _FIRST
    command.upgrade(config, f"{revision}:head" if revision is not None else "head", sql=True)
    return written.getvalue().replace(
        "CREATE TABLE alembic_version", "CREATE TABLE IF NOT EXISTS alembic_version"
    )


def _migrate(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    with _locked(connection):
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def _lacking(connection: Connection) -> list[str]:
    """The columns of ADDED that the database has not."""
    import sqlalchemy as sa

    there = {column["name"] for column in sa.inspect(connection).get_columns("audit_requests")}
    return [name for name in ADDED if name not in there]


def _add(connection: Connection) -> None:
    import sqlalchemy as sa
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    with _locked(connection):
        add = Operations(MigrationContext.configure(connection)).add_column
        for name in _lacking(connection):  # another instance may have been at it
            add("audit_requests", sa.Column(name, sa.String(ADDED[name])))
        connection.commit()


@contextmanager
def _locked(connection: Connection) -> Iterator[None]:
    """One at a time; what was read before is forgotten, for another may have migrated since.

    SQLite's file has one instance alone, but `techsapo costs` and others open it too. Its tables come all at
    once or not at all.
    """
    import sqlalchemy as sa

    connection.rollback()
    if connection.dialect.name != _DIALECT:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield
        return
    got = connection.execute(sa.text("SELECT GET_LOCK(:name, :wait)"), {"name": LOCK, "wait": _LOCK_SECONDS})
    if got.scalar() != 1:
        raise sa.exc.InvalidRequestError("another instance is migrating the audit database")
    try:
        yield
    finally:
        connection.execute(sa.text("SELECT RELEASE_LOCK(:name)"), {"name": LOCK})


def _revision(connection: Connection) -> str | None:
    import sqlalchemy as sa

    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return str(found) if found is not None else None
