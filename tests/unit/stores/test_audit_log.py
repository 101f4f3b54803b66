from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from servers import free_port, wait_for

from techsapo_ops.errors import OpsError
from techsapo_ops.spec.models.data import Mysql
from techsapo_ops.stores.audit import log as logs
from techsapo_ops.stores.audit.costs import summed
from techsapo_ops.stores.audit.log import AuditLog
from techsapo_ops.stores.audit.rows import Requests, Rows, read_rows
from techsapo_ops.stores.audit.server import audit_server
from techsapo_ops.stores.audit.spool import DRILL, AuditRow, Spool

ROW = AuditRow(
    id="0" * 32,
    time=datetime(2026, 11, 24, 3, 4, 5, 678901, tzinfo=UTC),
    instance="app-1",
    request_id="req_1",
    user_id=None,
    task_type="basic",
    prompt_hash="a" * 64,
    providers=("sim-a", "シム"),
    confidence=0.8,
    consensus=0.7,
    accepted=True,
    simulated=True,
    cache="miss",
    cost_usd=0.000012,
    status="accepted",
    processing_ms=12,
)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database or a disk that was away is tried again at once."""
    monkeypatch.setattr(logs, "RETRY", 0.02)


def rows(count: int) -> list[AuditRow]:
    return [replace(ROW, id=f"{n:032x}", request_id=f"req_{n}") for n in range(count)]


def stored(directory: Path) -> list[str]:
    with sqlite3.connect(directory / "audit.sqlite") as db:
        return [row[0] for row in db.execute("SELECT request_id FROM audit_requests ORDER BY request_id")]


def test_rows_reach_the_database_before_close_returns(tmp_path: Path) -> None:
    told: Counter[str] = Counter()
    log = AuditLog(None, tmp_path, lambda status, n: told.update({status: n}))
    log.start()
    for row in rows(600):
        log.put(row)
    log.close()
    assert len(stored(tmp_path)) == 600
    assert told == {"success": 600}


def test_a_row_is_stored_as_it_was(tmp_path: Path) -> None:
    log = AuditLog(None, tmp_path)
    log.start()
    log.put(ROW)
    log.close()
    with sqlite3.connect(tmp_path / "audit.sqlite") as db:
        db.row_factory = sqlite3.Row
        row = dict(db.execute("SELECT * FROM audit_requests").fetchone())
    assert row["time"] == "2026-11-24 03:04:05.678901"
    assert row["providers"] == '["sim-a", "シム"]'
    assert row["cost_usd"] == pytest.approx(0.000012)
    assert (row["prompt_hash"], row["user_id"], row["accepted"]) == ("a" * 64, None, 1)


def test_the_database_and_the_spool_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    log = AuditLog(None, tmp_path)
    log.start()
    log.put(ROW)
    log.close()
    Spool(tmp_path / "audit-spool.jsonl").append([ROW])
    for name in ("audit.sqlite", "audit-spool.jsonl"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_rows_wait_on_disk_while_the_database_is_down(tmp_path: Path) -> None:
    log = AuditLog(audit_server(Mysql(port=free_port())), tmp_path)
    log.start()
    for row in rows(3):
        log.put(row)
    wait_for(lambda: log.status().spooled == 3, what="rows spooled")
    status = log.status()
    assert (status.healthy, status.in_use) == (False, "mysql")
    assert status.consecutive_errors > 0
    log.close()
    assert [r.request_id for r in Spool(tmp_path / "audit-spool.jsonl").read()] == ["req_0", "req_1", "req_2"]


def test_rows_that_an_earlier_process_spooled_are_written_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "audit-spool.jsonl")
    spool.append(rows(3))
    first = AuditLog(None, tmp_path)
    first.start()
    first.put(rows(1)[0])  # a crash between commit and clean-up leaves a row in both places
    wait_for(lambda: spool.path.stat().st_size == 0, what="spool replayed")
    first.close()
    assert stored(tmp_path) == ["req_0", "req_1", "req_2"]


def test_a_torn_line_hides_no_other(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s.jsonl")
    spool.append(rows(1))
    with spool.path.open("a") as file:
        file.write('{"id": "torn')
    again = Spool(spool.path)
    again.append(rows(2)[1:])
    assert [r.request_id for r in again.read()] == ["req_0", "req_1"]
    assert again.rows == 2


def test_a_spool_that_cannot_be_written_keeps_rows_in_memory(tmp_path: Path) -> None:
    told: Counter[str] = Counter()
    log = AuditLog(
        audit_server(Mysql(port=free_port())), tmp_path, lambda status, n: told.update({status: n})
    )
    log.start()
    wait_for(lambda: log.consecutive_errors > 0, what="database found down")
    (tmp_path / "audit-spool.jsonl").mkdir()  # as good as a full disk, and works for root too
    log.put(ROW)
    wait_for(lambda: log.status().waiting == 1, what="row held")
    (tmp_path / "audit-spool.jsonl").rmdir()
    wait_for(lambda: log.status().spooled == 1, what="row spooled after all")
    log.close()
    assert told == {"error": 1}


def test_of_rows_that_nothing_takes_the_newest_are_held_and_no_more_than_memory_has_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logs, "MAX_HELD", 2)
    log = AuditLog(audit_server(Mysql(port=free_port())), tmp_path)
    log.start()
    wait_for(lambda: log.consecutive_errors > 0, what="database found down")
    (tmp_path / "audit-spool.jsonl").mkdir()
    for row in rows(3):
        log.put(row)
    wait_for(lambda: sum(getattr(each, "lost", 0) for each in caplog.records) == 1, what="one given up")
    (tmp_path / "audit-spool.jsonl").rmdir()
    wait_for(lambda: log.status().spooled == 2, what="rows spooled after all")
    log.close()
    assert [row.request_id for row in Spool(tmp_path / "audit-spool.jsonl").read()] == ["req_1", "req_2"]


def test_rows_of_drills_are_written_and_not_counted(tmp_path: Path) -> None:
    told: Counter[str] = Counter()
    log = AuditLog(None, tmp_path, lambda status, n: told.update({status: n}))
    log.start()
    for row in (*rows(2), replace(ROW, id="f" * 32, task_type=DRILL)):
        log.put(row)
    log.close()
    assert told == {"success": 2}


def test_a_spool_that_cannot_be_read_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "audit-spool.jsonl").mkdir()
    with pytest.raises(OpsError, match=r"cannot read .*audit-spool\.jsonl"):
        AuditLog(None, tmp_path)


def test_a_database_that_cannot_be_opened_yet_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "audit.sqlite").mkdir()
    log = AuditLog(None, tmp_path)
    log.start()
    log.put(ROW)
    wait_for(lambda: log.status().spooled == 1, what="row spooled")
    assert log.alive
    (tmp_path / "audit.sqlite").rmdir()
    wait_for(lambda: log.status().healthy and log.status().spooled == 0, what="row written")
    log.close()
    assert stored(tmp_path) == ["req_1"]


def test_what_a_restore_carries_over_is_money_and_no_question() -> None:
    asked = Requests("2026-12-01", 0.5, "miss", False)
    carried = Requests("2026-12-01", 0.25, "", False)
    found = summed(Rows((asked, carried), ()), datetime(2026, 12, 1, tzinfo=UTC), "day")
    assert (found.total_usd, found.requests) == (0.75, 1)
    assert [(day.cost_usd, day.requests) for day in found.rows] == [(0.75, 1)]


def test_requests_of_a_day_that_are_alike_are_read_as_one(tmp_path: Path) -> None:
    log = AuditLog(None, tmp_path)
    log.start()
    for row in rows(5):
        log.put(replace(row, cost_usd=0.5, cache="hit" if row.request_id == "req_4" else "miss"))
    log.close()
    read = read_rows(None, [tmp_path / "audit.sqlite"], datetime(2026, 11, 24, tzinfo=UTC))
    assert sorted((each.cache, each.count, each.cost_usd) for each in read.requests) == [
        ("hit", 1, 0.5),
        ("miss", 4, 2.0),
    ]
    found = summed(read, datetime(2026, 11, 24, tzinfo=UTC), "provider")
    assert (found.requests, found.cached, found.total_usd) == (5, 1, 2.5)
