"""Which of the team's own files stood in a question that was sent to providers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. MariaDB commits it by itself: it may be there already; SQLite has no word for that."""
    again = op.get_context().dialect.name != "sqlite" or None
    op.add_column("audit_requests", sa.Column("sources", sa.Text), if_not_exists=again)
