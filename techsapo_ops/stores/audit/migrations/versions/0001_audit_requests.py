"""The table of requests, as version 0.1.0 made it without migrations; kept where it is there already."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import DATETIME

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make audit_requests. As SQL it is not called where the table is there: see stores.audit.migrate."""
    if not op.get_context().as_sql and sa.inspect(op.get_bind()).has_table("audit_requests"):
        return
    op.create_table(
        "audit_requests",
        sa.Column("id", sa.CHAR(32), primary_key=True),
        sa.Column("time", sa.DateTime().with_variant(DATETIME(fsp=6), "mysql"), nullable=False, index=True),
        sa.Column("instance", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(128), nullable=False, index=True),
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
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
    )
