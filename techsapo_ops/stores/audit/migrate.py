"""Brings the audit database to the newest schema, by the alembic migrations beside this file."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.stores.audit.database import forestalled

if TYPE_CHECKING:
    from sqlalchemy import Connection

HEAD = "0006"
"""The newest migration; a test holds it to the files."""
MIGRATIONS = Path(__file__).parent / "migrations"
SCHEMA = MIGRATIONS / "sqlite.sql"
"""What they make of an empty file of SQLite: importing Alembic was a seventh of a first start."""
LOCK = "techsapo_audit_migrations"
"""What whoever migrates holds, by GET_LOCK."""
_DIALECT = "mysql"
"""SQLAlchemy's word for MariaDB's SQL too."""
_DENIED = frozenset({1044, 1142})
"""What MariaDB says where an account lacks a right: to a database, to a table."""
_LOCK_SECONDS = 30
_FORESTALLED = 10
"""Times that others in a cluster may be a revision ahead: more than there are revisions."""
_ONE_AT_A_TIME = threading.Lock()


def upgrade(connection: Connection) -> None:
    """Run the migrations that `connection`'s database lacks; safe when several instances start at once.

    Alembic is imported only where there are tables of an older schema, or MariaDB has none. Raises
    SQLAlchemyError, also where another instance has been migrating for longer than half a minute, and where
    the account may not.
    """
    import sqlalchemy as sa

    with _ONE_AT_A_TIME:
        try:
            if _revision(connection) != HEAD:
                _migrate(connection)
            connection.rollback()  # what was read holds nothing
        except sa.exc.DBAPIError as error:
            if error.orig is None or _DENIED.isdisjoint(error.orig.args[:1]):
                raise
            raise sa.exc.InvalidRequestError(
                "the audit database lacks tables, which this account may not make: `techsapo up` does"
            ) from None


def sql_from(revision: str | None) -> str:
    """SQL that brings a MariaDB from `revision` to the newest schema; empty where it is there.

    `revision` is None where the database has none yet. It is for who reaches the database by its own client
    alone. What was cut short half way is gone on with.
    """
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
    command.upgrade(config, f"{revision}:head" if revision is not None else "head", sql=True)
    return written.getvalue().replace(
        "CREATE TABLE alembic_version", "CREATE TABLE IF NOT EXISTS alembic_version"
    )


def _migrate(connection: Connection) -> None:
    import sqlalchemy as sa

    with _locked(connection):
        if connection.dialect.name != _DIALECT and not sa.inspect(connection).get_table_names():
            for statement in SCHEMA.read_text(encoding="utf-8").rstrip().removesuffix(";").split(";\n"):
                connection.exec_driver_sql(statement)
            connection.commit()
            return
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        for left in reversed(range(_FORESTALLED)):
            try:
                command.upgrade(config, "head")
                connection.commit()
                return
            except (CommandError, sa.exc.DBAPIError) as error:
                connection.rollback()
                if isinstance(error, sa.exc.DBAPIError):
                    if not left or not forestalled(error):
                        raise
                elif not left:  # else another member moved the revision on
                    raise sa.exc.InvalidRequestError(f"the audit database: {error}") from error


@contextmanager
def _locked(connection: Connection) -> Iterator[None]:
    """One at a time; what was read before is forgotten, for another may have migrated since.

    SQLite's file has one instance alone, but `techsapo answers costs` and others open it too. Its tables
    come all at once or not at all.
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
    revision = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return str(revision) if revision is not None else None
