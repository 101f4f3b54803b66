"""Who asked by which key, the masked prompt, the threshold, and every call with its cost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import DATETIME

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and audit_calls. MySQL commits each step by itself: one cut short is gone on with.

    As SQL, where nothing can be asked, MariaDB itself sees what is there.
    """
    as_sql = op.get_context().as_sql
    there: set[str] = set()
    if not as_sql:
        inspector = sa.inspect(op.get_bind())
        there = {c["name"] for c in inspector.get_columns("audit_requests")}
    for column in (
        sa.Column("key_id", sa.String(32)),
        sa.Column("prompt", sa.Text),
        sa.Column("threshold", sa.Double),
    ):
        if column.name not in there:
            op.add_column("audit_requests", column, if_not_exists=True if as_sql else None)
    if not as_sql and inspector.has_table("audit_calls"):
        return
    op.create_table(
        "audit_calls",
        sa.Column("request_row", sa.CHAR(32), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("time", sa.DateTime().with_variant(DATETIME(fsp=6), "mysql"), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("cost_usd", sa.Numeric(18, 9), nullable=False),
        sa.Column("tokens_input", sa.Integer, nullable=False),
        sa.Column("tokens_output", sa.Integer, nullable=False),
        sa.Column("milliseconds", sa.Integer, nullable=False),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        if_not_exists=True if as_sql else None,
    )
    op.create_index("ix_audit_calls_time", "audit_calls", ["time"], if_not_exists=True if as_sql else None)
