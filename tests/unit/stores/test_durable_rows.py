from __future__ import annotations

import errno
import os
import sqlite3
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from servers import free_port, wait_for

from techsapo_ops.spec.models.data import Mysql
from techsapo_ops.stores.audit import log as logs
from techsapo_ops.stores.audit import spool as spools
from techsapo_ops.stores.audit.log import AuditLog
from techsapo_ops.stores.audit.server import audit_server
from techsapo_ops.stores.audit.spool import AuditRow, Spool

NOW = datetime(2026, 11, 27, tzinfo=UTC)
ROW = AuditRow(
    id="0" * 32, time=NOW, instance="app-1", request_id="req_0", user_id=None, task_type="basic",
    prompt_hash="a" * 64, providers=("sim-a",), confidence=0.8, consensus=0.7, accepted=True, simulated=True,
    cache="miss", cost_usd=0.5, status="accepted", processing_ms=12,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database or a disk that was away is tried again at once."""
    monkeypatch.setattr(logs, "RETRY", 0.02)


def rows(count: int) -> list[AuditRow]:
    return [replace(ROW, id=f"{n:032x}", request_id=f"req_{n}") for n in range(count)]


def stored(directory: Path) -> list[str]:
    with sqlite3.connect(directory / "audit.sqlite") as db:
        return [row[0] for row in db.execute("SELECT request_id FROM audit_requests ORDER BY rowid")]


def spooled(directory: Path) -> list[str]:
    return [row.request_id for row in Spool(directory / "audit-spool.jsonl").read()]


def told(log: AuditLog, row: AuditRow) -> bool:
    future = log.put(row)
    assert future is not None
    return future.result(timeout=60)


def test_a_row_is_on_disk_when_its_answer_is_given_though_the_database_has_to_wait(tmp_path: Path) -> None:
    log = AuditLog(None, tmp_path, flush_interval=3600)
    log.start()
    assert told(log, ROW)
    assert spooled(tmp_path) == ["req_0"], "what a kill -9 or a power cut leaves now"
    log.close()
    assert stored(tmp_path) == ["req_0"]
    assert not (tmp_path / "audit-spool.jsonl").exists()


def test_rows_are_flushed_and_so_is_the_folder_of_a_new_file_before_anybody_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AuditLog(None, tmp_path, flush_interval=3600)
    seen: list[str] = []
    flush = os.fsync

    def noted(descriptor: int) -> None:
        seen.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        flush(descriptor)

    log.start()
    wait_for(lambda: log.status().healthy, what="the tables made")
    monkeypatch.setattr(os, "fsync", noted)
    future = log.put(ROW)
    assert future is not None
    future.add_done_callback(lambda _: seen.append("told"))
    assert future.result(timeout=60)
    assert seen[:3] == ["audit-spool.jsonl", tmp_path.name, "told"]
    log.close()


def test_rows_that_were_told_of_survive_where_the_database_is_away_and_are_written_once(
    tmp_path: Path,
) -> None:
    counted: Counter[str] = Counter()
    away = AuditLog(
        audit_server(Mysql(port=free_port())),
        tmp_path,
        lambda status, n: counted.update({status: n}),
    )
    away.start()
    assert all(told(away, row) for row in rows(3))
    wait_for(lambda: away.status().spooled == 3, what="rows that the database keeps waiting")
    away.close()
    assert counted == {"error": 3}
    again = AuditLog(None, tmp_path)
    again.start()
    assert told(again, rows(1)[0]), "a second row of the same id is none"
    again.close()
    assert stored(tmp_path) == ["req_0", "req_1", "req_2"]


def test_where_neither_disk_nor_database_takes_a_row_that_is_said_and_it_is_tried_on(tmp_path: Path) -> None:
    log = AuditLog(audit_server(Mysql(port=free_port())), tmp_path)
    log.start()
    (tmp_path / "audit-spool.jsonl").mkdir()  # as good as a full disk, and works for root too
    assert not told(log, ROW)
    assert log.status().waiting == 1
    (tmp_path / "audit-spool.jsonl").rmdir()
    wait_for(lambda: log.status().spooled == 1, what="the row on disk after all")
    log.close()
    assert spooled(tmp_path) == ["req_0"]


def test_a_database_takes_what_the_disk_does_not(tmp_path: Path) -> None:
    log = AuditLog(None, tmp_path)
    log.start()
    (tmp_path / "audit-spool.jsonl").mkdir()
    assert told(log, ROW)
    assert stored(tmp_path) == ["req_0"]
    (tmp_path / "audit-spool.jsonl").rmdir()
    log.close()


def test_money_of_rows_that_are_on_disk_and_in_the_database_is_counted_once(tmp_path: Path) -> None:
    log = AuditLog(None, tmp_path)
    log.start()
    for row in rows(3):
        log.put(row)
    log.close()
    Spool(tmp_path / "audit-spool.jsonl").append(rows(4)[2:])  # a kill -9 before the spool was emptied
    assert AuditLog(None, tmp_path).spent_since(NOW - timedelta(1), None) == pytest.approx(2.0)


def test_under_load_the_spool_does_not_grow_for_ever_and_keeps_what_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spools, "_LONG", 1)
    spool = Spool(tmp_path / "s.jsonl")
    spool.append(rows(3))
    _, end = spool.batch(0, 3)
    spool.append(rows(5)[3:])  # came while the first three were written to the database
    spool.drop(end, 3)
    assert (spool.rows, [row.request_id for row in spool.read()]) == (2, ["req_3", "req_4"])
    assert spooled_in(spool.path) == ["req_3", "req_4"], "also for who comes after a kill -9"
    spool.append([ROW])
    spool.drop(spool.batch(0, 3)[1], 3)
    assert (spool.rows, spool.path.stat().st_size) == (0, 0)


def spooled_in(path: Path) -> list[str]:
    return [row.request_id for row in Spool(path).read()]


def test_rows_of_many_threads_are_each_told_and_each_written(tmp_path: Path) -> None:
    log = AuditLog(None, tmp_path, flush_interval=0.001)
    log.start()
    futures = [log.put(row) for row in rows(300)]
    assert all(future is not None and future.result(timeout=60) for future in futures)
    log.close()
    assert len(stored(tmp_path)) == 300


def test_half_a_batch_that_the_disk_did_not_take_is_not_replayed_beside_the_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path / "audit-spool.jsonl")
    assert spool.append(rows(2))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space"):
            spool.append(rows(4)[2:])
    assert spooled(tmp_path) == ["req_0", "req_1"]
    assert not spool.append(rows(5)[4:]), "the writer knows that there are rows"
    assert spooled(tmp_path) == ["req_0", "req_1", "req_4"]


def full(_: int) -> None:
    raise OSError(errno.ENOSPC, "no space left on device")
