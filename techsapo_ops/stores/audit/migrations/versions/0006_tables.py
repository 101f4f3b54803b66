"""The tables of the first release; the revisions before this one were of no release."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0006"
down_revision = None
branch_labels = None
depends_on = None

_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), mysql.dialect.name)
_LONG = sa.Text().with_variant(mysql.MEDIUMTEXT(), mysql.dialect.name)


def upgrade() -> None:
    """Make the tables. MariaDB commits each statement by itself: one that was cut short is gone on with."""
    _table(
        "audit_requests",
        sa.Column("id", sa.CHAR(32), primary_key=True),
        sa.Column("time", _TIME, nullable=False),
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
        sa.Column("sources", sa.Text),
        sa.Column("panel", sa.Text),
        sa.Column("answer", sa.Text),
        indexed=("time", "request_id"),
    )
    _table(
        "audit_calls",
        sa.Column("request_row", sa.CHAR(32), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("time", _TIME, nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("cost_usd", sa.Numeric(18, 9), nullable=False),
        sa.Column("tokens_input", sa.Integer, nullable=False),
        sa.Column("tokens_output", sa.Integer, nullable=False),
        sa.Column("milliseconds", sa.Integer, nullable=False),
        sa.Column("version", sa.String(128), nullable=False, server_default=""),
        indexed=("time",),
    )
    _table(
        "audit_spent",
        sa.Column("key_id", sa.String(32), primary_key=True),
        sa.Column("hour", sa.CHAR(13), primary_key=True),
        sa.Column("simulated", sa.Boolean, primary_key=True),
        sa.Column("instance", sa.String(64), primary_key=True),
        sa.Column("nano", sa.BigInteger, nullable=False),
    )
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
        indexed=("ended",),
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
        indexed=("fingerprint",),
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
        indexed=("time",),
    )
    _table(
        "answer_labels",
        sa.Column("id", sa.CHAR(32), primary_key=True),
        sa.Column("request_id", sa.String(128), nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("label", sa.String(8), nullable=False),
        sa.Column("solved", sa.Boolean),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("via", sa.String(8), nullable=False),
        indexed=("request_id", "at"),
    )


def _table(name: str, *columns: sa.Column[object], indexed: tuple[str, ...] = ()) -> None:
    op.create_table(name, *columns, mysql_charset="utf8mb4", mysql_engine="InnoDB", if_not_exists=True)
    for column in indexed:
        op.create_index(f"ix_{name}_{column}", name, [column], if_not_exists=True)
