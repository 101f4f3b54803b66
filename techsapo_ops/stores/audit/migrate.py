"""Brings the audit database to the newest schema, by the alembic migrations beside this file."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection

HEAD = "0002"
"""The newest migration; a test holds it to the files."""
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


def _migrate(connection: Connection) -> None:
    import sqlalchemy as sa
    from alembic import command
    from alembic.config import Config

    mysql = connection.dialect.name == "mysql"
    if mysql:
        got = connection.execute(
            sa.text("SELECT GET_LOCK(:name, :wait)"), {"name": _LOCK, "wait": _LOCK_SECONDS}
        )
        if got.scalar() != 1:
            raise sa.exc.InvalidRequestError("another instance is migrating the audit database")
    try:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
    finally:
        if mysql:
            connection.execute(sa.text("SELECT RELEASE_LOCK(:name)"), {"name": _LOCK})


def _revision(connection: Connection) -> str | None:
    import sqlalchemy as sa

    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    connection.rollback()
    return str(found) if found is not None else None
