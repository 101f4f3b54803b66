"""Incidents, their alerts and time lines, and what people say that they did."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), mysql.dialect.name)
_LONG = sa.Text().with_variant(mysql.MEDIUMTEXT(), mysql.dialect.name)


def upgrade() -> None:
    """Make the four tables. MariaDB commits each statement by itself: one cut short is gone on with."""
    _table(
        "incidents",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("began", _TIME, nullable=False),
        sa.Column("title", sa.String(300), nullable=False),
        sa.Column("pages", sa.Boolean, nullable=False),
        sa.Column("subjects", sa.Text, nullable=False),
        sa.Column("alerts", sa.Integer, nullable=False),
        sa.Column("firing", sa.Integer, nullable=False),
        sa.Column("quiet", _TIME),
        sa.Column("ended", _TIME),
        sa.Column("cause", sa.String(500)),
        sa.Column("holders", sa.String(500), nullable=False),
        sa.Column("entries", sa.Integer, nullable=False),
        sa.Column("investigation", sa.String(8), nullable=False),
        sa.Column("investigated", _TIME),
        sa.Column("worker", sa.String(64)),
        sa.Column("lease", _TIME),
    )
    _table(
        "incident_alerts",
        sa.Column("incident", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("fingerprint", sa.CHAR(32), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("summary", sa.String(1000), nullable=False),
        sa.Column("expression", sa.Text, nullable=False),
        sa.Column("pages", sa.Boolean, nullable=False),
        sa.Column("began", _TIME, nullable=False),
        sa.Column("reported", _TIME, nullable=False),
        sa.Column("ended", _TIME),
    )
    _table(
        "incident_entries",
        sa.Column("incident", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("time", _TIME, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("author", sa.String(64), nullable=False),
        sa.Column("text", _LONG, nullable=False),
    )
    _table(
        "incident_events",
        sa.Column("id", sa.CHAR(32), primary_key=True),
        sa.Column("time", _TIME, nullable=False),
        sa.Column("recorded", _TIME, nullable=False),
        sa.Column("text", sa.String(500), nullable=False),
        sa.Column("service", sa.String(64), nullable=False),
        sa.Column("host", sa.String(64), nullable=False),
        sa.Column("author", sa.String(64), nullable=False),
    )
    for table, column in (
        ("incidents", "ended"),
        ("incident_alerts", "fingerprint"),
        ("incident_events", "time"),
    ):
        op.create_index(f"ix_{table}_{column}", table, [column], if_not_exists=True)


def _table(name: str, *columns: sa.Column[object]) -> None:
    op.create_table(name, *columns, mysql_charset="utf8mb4", mysql_engine="InnoDB", if_not_exists=True)
