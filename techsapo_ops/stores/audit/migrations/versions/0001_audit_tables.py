"""The tables of requests and of every call with its cost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import DATETIME

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables. MariaDB commits each statement by itself: one that was cut short is gone on with."""
    op.create_table(
        "audit_requests",
        sa.Column("id", sa.CHAR(32), primary_key=True),
        sa.Column("time", sa.DateTime().with_variant(DATETIME(fsp=6), "mysql"), nullable=False),
        sa.Column("instance", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("user_id", sa.String(64)),
        sa.Column("task_type", sa.String(16), nullable=False),
        sa.Column("prompt_hash", sa.CHAR(64), nullable=False),
        sa.Column("providers", sa.Text, nullable=False),
        sa.Column("confidence", sa.Double),
        sa.Column("consensus", sa.Double),
        sa.Column("accepted", sa.Boolean),
        sa.Column("simulated", sa.Boolean, nullable=False),
        sa.Column("cache", sa.String(8), nullable=False),
        sa.Column("cost_usd", sa.Numeric(18, 9), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("processing_ms", sa.Integer, nullable=False),
        sa.Column("key_id", sa.String(32)),
        sa.Column("prompt", sa.Text),
        sa.Column("threshold", sa.Double),
        sa.Column("claimed_user", sa.String(64)),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        if_not_exists=True,
    )
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
        if_not_exists=True,
    )
    for table, column in (("requests", "time"), ("requests", "request_id"), ("calls", "time")):
        op.create_index(f"ix_audit_{table}_{column}", f"audit_{table}", [column], if_not_exists=True)
