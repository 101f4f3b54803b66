"""Rows of the audit log in unit tests, and where they are."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from servers import free_port

from techsapo_ops.adapters.address import Address
from techsapo_ops.stores.audit import log as logs
from techsapo_ops.stores.audit.database import AuditServer
from techsapo_ops.stores.audit.log import AuditLog
from techsapo_ops.stores.audit.spool import NAME, AuditRow, Spool

ROW = AuditRow(
    id="0" * 32, time=datetime(2026, 11, 24, 3, 4, 5, 678901, tzinfo=UTC), instance="app-1",
    request_id="req_0", user_id=None, task_type="basic", prompt_hash="a" * 64, providers=("sim-a", "シム"),
    confidence=0.8, consensus=0.7, accepted=True, simulated=True, cache="miss", cost_usd=0.5,
    status="accepted", processing_ms=12,
)  # fmt: skip


def rows(count: int, first: int = 0) -> list[AuditRow]:
    return [replace(ROW, id=f"{n:032x}", request_id=f"req_{n}") for n in range(first, first + count)]


def away(*others: Address) -> AuditServer:
    """A database that nobody serves, of a cluster of `others`."""
    return AuditServer("127.0.0.1", free_port(), "audit", "app", others=others)


@contextmanager
def writing(server: AuditServer | None, folder: Path, *more: Any, **options: Any) -> Iterator[AuditLog]:
    """An audit log at work, which tries again at once where a database or a disk was away."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "RETRY", 0.02)
        log = AuditLog(server, folder, *more, **options)
        log.start()
        yield log
        log.close()


def told(log: AuditLog, row: AuditRow) -> bool:
    return log.put(row).result(timeout=60)


def stored(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "audit.sqlite") as db:
        return [row[0] for row in db.execute("SELECT request_id FROM audit_requests ORDER BY request_id")]


def spooled(file: Path) -> list[str]:
    return [row.request_id for row in Spool(file if file.suffix else file / NAME).read()]
