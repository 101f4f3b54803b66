"""Which model the vendor says that it answered with, of each call."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column. MariaDB commits each statement by itself: it may be there already."""
    again = op.get_context().dialect.name != "sqlite" or None
    version = sa.Column("version", sa.String(128), nullable=False, server_default="")
    op.add_column("audit_calls", version, if_not_exists=again)
