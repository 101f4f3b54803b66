"""What a verdict leaves behind to learn from, the answer if the spec says so, and what people say of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), mysql.dialect.name)


def upgrade() -> None:
    """Add both columns and the table. MariaDB commits each statement by itself: see the migration before."""
    again = op.get_context().dialect.name != "sqlite" or None
    for name in ("panel", "answer"):
        op.add_column("audit_requests", sa.Column(name, sa.Text), if_not_exists=again)
    op.create_table(
        "answer_labels",
        sa.Column("id", sa.CHAR(32), primary_key=True),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("label", sa.String(8), nullable=False),
        sa.Column("solved", sa.Boolean),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("via", sa.String(8), nullable=False),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        if_not_exists=True,
    )
    for column in ("request_id", "at"):
        op.create_index(f"ix_answer_labels_{column}", "answer_labels", [column], if_not_exists=True)
