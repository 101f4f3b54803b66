"""Alembic's entry: migrations run on a connection that is handed over; without one they become SQL."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import context
from alembic.ddl.mysql import MySQLImpl


class OneRevision(MySQLImpl):
    """MariaDB whose table of revisions holds one row at most.

    GET_LOCK is a cluster member's own. Two members that begin at once would each insert the first revision,
    and the later one beside what the sooner has reached; now it is told of a duplicate.
    """

    __dialect__ = MySQLImpl.__dialect__

    def version_table_impl(self, **named: Any) -> sa.Table:
        """Alembic's own table, and a column that is unique and always 1."""
        table = super().version_table_impl(**named)
        table.append_column(sa.Column("one", sa.Integer, nullable=False, server_default="1", unique=True))
        return table


if context.is_offline_mode():
    context.configure(dialect_name=context.config.attributes["dialect"])
else:
    context.configure(connection=context.config.attributes["connection"], transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
