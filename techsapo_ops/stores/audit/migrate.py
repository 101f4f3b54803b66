"""Brings the audit database to the newest schema, by the alembic migrations beside this file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
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
_LOCK = "techsapo_audit_migrations"
_LOCK_SECONDS = 30
_ONE_AT_A_TIME = threading.Lock()


def upgrade(connection: Connection) -> None:
    """Run the migrations that `connection`'s database lacks; safe when several instances start at once.

    Alembic is imported only where there is something to do. Raises SQLAlchemyError, also where another
    instance has been migrating for longer than half a minute.
    """
    with _ONE_AT_A_TIME:
        if _revision(connection) != HEAD:
            _migrate(connection)
        if _lacking(connection):
            _add(connection)


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
    connection.rollback()
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
    """One instance at a time. SQLite's file has one alone."""
    import sqlalchemy as sa

    if connection.dialect.name != "mysql":
        yield
        return
    got = connection.execute(sa.text("SELECT GET_LOCK(:name, :wait)"), {"name": _LOCK, "wait": _LOCK_SECONDS})
    if got.scalar() != 1:
        raise sa.exc.InvalidRequestError("another instance is migrating the audit database")
    try:
        yield
    finally:
        connection.execute(sa.text("SELECT RELEASE_LOCK(:name)"), {"name": _LOCK})


def _revision(connection: Connection) -> str | None:
    import sqlalchemy as sa

    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    connection.rollback()
    return str(found) if found is not None else None
