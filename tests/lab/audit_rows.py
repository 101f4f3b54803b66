"""The audit log's database in tests: a row, and what is in the table."""

from __future__ import annotations

from datetime import UTC, datetime

import pymysql
from servers import Server

from techsapo_ops.spec.models.servers import Mysql
from techsapo_ops.stores.audit.database import AuditServer, audit_server
from techsapo_ops.stores.audit.spool import AuditRow

ROW = AuditRow(
    id="0" * 32,
    time=datetime(2026, 11, 24, 3, 4, 5, 678901, tzinfo=UTC),
    instance="app-1",
    request_id="req_1",
    user_id="user_abc",
    task_type="critical",
    prompt_hash="a" * 64,
    providers=("シム😀",),
    confidence=None,
    consensus=None,
    accepted=None,
    simulated=False,
    cache="miss",
    cost_usd=0.000000001,
    status="timeout",
    processing_ms=120_000,
)


def query(server: Server, sql: str) -> list[tuple[object, ...]]:
    link = pymysql.connect(host=server.host, port=server.port, user="root", password=server.password or "")
    with link, link.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def count(server: Server) -> int:
    """Rows of the audit table; -1 while the server does not answer."""
    try:
        (row,) = query(server, "SELECT COUNT(*) FROM techsapo_audit.audit_requests")
    except pymysql.MySQLError:
        return -1
    assert isinstance(row[0], int)
    return row[0]


def prepare(server: Server) -> AuditServer | None:
    query(server, "CREATE DATABASE IF NOT EXISTS techsapo_audit")
    spec = Mysql.model_validate({"port": server.port, "user": "root", "password": server.password})
    return audit_server(spec)
