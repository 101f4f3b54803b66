"""What was spent in each hour, so that a month's budget is not added up row by row."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_ROWS = (
    "SELECT {key} AS key_id, SUBSTR(time, 1, 13) AS hour, simulated, instance, "
    "ROUND(SUM(cost_usd) * 1000000000) AS nano FROM audit_requests "
    "WHERE cost_usd > 0 AND SUBSTR(id, 1, 8) <> 'restored' AND {which} GROUP BY 1, 2, 3, 4"
)


def upgrade() -> None:
    """Make the table and sum up the rows that are there, all of them or none. See `AuditStore`."""
    op.create_table(
        "audit_spent",
        sa.Column("key_id", sa.String(32), primary_key=True),
        sa.Column("hour", sa.CHAR(13), primary_key=True),
        sa.Column("simulated", sa.Boolean, primary_key=True),
        sa.Column("instance", sa.String(64), primary_key=True),
        sa.Column("nano", sa.BigInteger, nullable=False),
        mysql_charset="utf8mb4",
        mysql_engine="InnoDB",
        if_not_exists=True,
    )
    all_rows = _ROWS.format(key="''", which="1 = 1")
    by_key = _ROWS.format(key="key_id", which="key_id IS NOT NULL")
    op.execute(
        "INSERT INTO audit_spent (key_id, hour, simulated, instance, nano) "  # noqa: S608 - our own words
        f"SELECT * FROM ({all_rows} UNION ALL {by_key}) AS summed "
        "WHERE NOT EXISTS (SELECT 1 FROM audit_spent)"
    )
