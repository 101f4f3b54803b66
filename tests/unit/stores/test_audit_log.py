"""Rows of the audit log: on disk before anybody is told, in the database once, and lost by no fault."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from rows import each_row
from servers import wait_for
from written import ROW, away, rows, spooled, stored, told, writing

from techsapo_ops.errors import OpsError
from techsapo_ops.stores.audit import log as logs
from techsapo_ops.stores.audit import spool as spools
from techsapo_ops.stores.audit import transit
from techsapo_ops.stores.audit.costs import summed
from techsapo_ops.stores.audit.log import AuditLog
from techsapo_ops.stores.audit.rows import Requests, Rows, read_rows
from techsapo_ops.stores.audit.spool import DRILL, NAME, AuditCall, AuditRow, Spool

DAY = datetime(2026, 11, 24, tzinfo=UTC)


def test_each_of_many_rows_is_told_counted_and_in_the_database_before_close_returns(tmp_path: Path) -> None:
    counted: Counter[str] = Counter()
    with writing(None, tmp_path, lambda status, n: counted.update({status: n})) as log:
        futures = [log.put(row) for row in rows(600)]
        log.put(replace(ROW, id="f" * 32, task_type=DRILL))
        assert all(future.result(timeout=60) for future in futures)
    assert len(stored(tmp_path)) == 601
    assert counted == {"success": 600}, "rows of drills are not counted"


def test_a_row_is_stored_as_it_was_for_its_owner_alone(tmp_path: Path) -> None:
    with writing(None, tmp_path) as log:
        log.put(ROW)
    with sqlite3.connect(tmp_path / "audit.sqlite") as db:
        db.row_factory = sqlite3.Row
        row = dict(db.execute("SELECT * FROM audit_requests").fetchone())
    assert row["time"] == "2026-11-24 03:04:05.678901"
    assert (row["providers"], row["cost_usd"]) == ('["sim-a", "シム"]', 0.5)
    assert (row["prompt_hash"], row["user_id"], row["accepted"]) == ("a" * 64, None, 1)
    Spool(tmp_path / NAME).append([ROW])
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in ("audit.sqlite", NAME)} == {0o600}


def test_a_torn_line_hides_no_other(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "s.jsonl")
    spool.append(rows(1))
    with spool.path.open("a") as file:
        file.write('{"id": "torn')
    again = Spool(spool.path)
    again.append(rows(1, 1))
    assert [r.request_id for r in again.read()] == ["req_0", "req_1"]
    assert again.rows == 2


def test_of_rows_that_nothing_takes_the_newest_are_held_and_no_more_than_memory_has_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(logs, "MAX_HELD", 2)
    with writing(away(), tmp_path) as log:
        wait_for(lambda: log.consecutive_errors > 0, what="database found down")
        (tmp_path / NAME).mkdir()
        for row in rows(3):
            log.put(row)
        wait_for(lambda: sum(getattr(each, "lost", 0) for each in caplog.records) == 1, what="one given up")
        (tmp_path / NAME).rmdir()
        wait_for(lambda: log.status().spooled == 2, what="rows spooled after all")
    assert spooled(tmp_path) == ["req_1", "req_2"]


def test_a_spool_that_cannot_be_read_is_told_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(OpsError, match=r"cannot read .*audit-spool\.jsonl"):
        AuditLog(None, tmp_path)


def test_a_database_that_cannot_be_opened_yet_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "audit.sqlite").mkdir()
    with writing(None, tmp_path) as log:
        log.put(ROW)
        wait_for(lambda: log.status().spooled == 1, what="row spooled")
        assert log.alive
        (tmp_path / "audit.sqlite").rmdir()
        wait_for(lambda: log.status().healthy and log.status().spooled == 0, what="row written")
    assert stored(tmp_path) == ["req_0"]


def test_a_row_is_on_disk_when_its_answer_is_given_though_the_database_has_to_wait(tmp_path: Path) -> None:
    with writing(None, tmp_path, flush_interval=3600) as log:
        assert told(log, ROW)
        assert spooled(tmp_path) == ["req_0"], "what a kill -9 or a power cut leaves now"
    assert stored(tmp_path) == ["req_0"]
    assert not (tmp_path / NAME).exists()


def test_rows_are_flushed_and_so_is_the_folder_of_a_new_file_before_anybody_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, flush = list[str](), os.fsync

    def noted(descriptor: int) -> None:
        seen.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        flush(descriptor)

    with writing(None, tmp_path, flush_interval=3600) as log:
        wait_for(lambda: log.status().healthy, what="the tables made")
        monkeypatch.setattr(os, "fsync", noted)
        future = log.put(ROW)
        future.add_done_callback(lambda _: seen.append("told"))
        assert future.result(timeout=60)
        assert seen[:3] == [NAME, tmp_path.name, "told"]


def test_a_row_alone_is_written_at_once_and_one_right_after_another_waits_for_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    naps, now = list[float](), [100.0]
    monkeypatch.setattr(transit, "time", SimpleNamespace(sleep=naps.append, monotonic=lambda: now[0]))
    intake = transit.Intake(Spool(tmp_path / NAME), lambda: None, lambda _: None)
    intake.start()
    waited = []
    for row, later in zip(rows(3), (0.0, 0.0, 2 * transit.BUSY), strict=True):
        now[0] += later
        assert intake.put(row).result(timeout=60)
        waited.append(len(naps))
    intake.close(60)
    assert (waited, naps) == ([0, 1, 1], [transit.TOGETHER])
    assert spooled(tmp_path) == ["req_0", "req_1", "req_2"]


@each_row("prompt", ["鍵", "\ud800"])
def test_a_row_is_on_disk_as_it_is_but_for_what_utf_8_can_not_hold(tmp_path: Path, prompt: str) -> None:
    call = AuditCall("a", "m", "answer", "success", 0.1, 1, 2, 3)
    for time in (ROW.time, ROW.time.replace(microsecond=0)):
        row = replace(ROW, time=time, prompt=prompt, calls=(call, call))
        wanted = replace(row, prompt=prompt.encode(errors="replace").decode())
        assert AuditRow.from_json(row.to_json().decode()) == wanted


def test_rows_that_were_told_of_survive_where_the_database_is_away_and_are_written_once(
    tmp_path: Path,
) -> None:
    counted: Counter[str] = Counter()
    with writing(away(), tmp_path, lambda status, n: counted.update({status: n})) as log:
        assert all(told(log, row) for row in rows(3))
        wait_for(lambda: log.status().spooled == 3, what="rows that the database keeps waiting")
        wait_for(lambda: log.consecutive_errors > 0, what="database found down")
        assert (log.status().healthy, log.status().in_use) == (False, "mysql")
    assert counted == {"error": 3}
    with writing(None, tmp_path) as again:
        assert told(again, rows(1)[0]), "a second row of the same id is none"
    assert stored(tmp_path) == ["req_0", "req_1", "req_2"]


def test_where_neither_disk_nor_database_takes_a_row_that_is_said_and_it_is_tried_on(tmp_path: Path) -> None:
    with writing(away(), tmp_path) as log:
        (tmp_path / NAME).mkdir()  # as good as a full disk, and works for root too
        assert not told(log, ROW)
        assert log.status().waiting == 1
        (tmp_path / NAME).rmdir()
        wait_for(lambda: log.status().spooled == 1, what="the row on disk after all")
    assert spooled(tmp_path) == ["req_0"]


def test_a_database_takes_what_the_disk_does_not(tmp_path: Path) -> None:
    with writing(None, tmp_path) as log:
        (tmp_path / NAME).mkdir()
        assert told(log, ROW)
        assert stored(tmp_path) == ["req_0"]
        (tmp_path / NAME).rmdir()


def test_money_of_rows_that_are_on_disk_and_in_the_database_is_counted_once(tmp_path: Path) -> None:
    with writing(None, tmp_path) as log:
        for row in rows(3):
            log.put(row)
    Spool(tmp_path / NAME).append(rows(2, 2))  # a kill -9 before the spool was emptied
    assert AuditLog(None, tmp_path).spent_since(DAY, None) == pytest.approx(2.0)


def test_under_load_the_spool_does_not_grow_for_ever_and_keeps_what_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spools, "_LONG", 1)
    spool = Spool(tmp_path / "s.jsonl")
    spool.append(rows(3))
    _, end = spool.batch(0, 3)
    spool.append(rows(2, 3))  # came while the first three were written to the database
    spool.drop(end, 3)
    assert (spool.rows, [row.request_id for row in spool.read()]) == (2, ["req_3", "req_4"])
    assert spooled(spool.path) == ["req_3", "req_4"], "also for who comes after a kill -9"
    spool.append([ROW])
    spool.drop(spool.batch(0, 3)[1], 3)
    assert (spool.rows, spool.path.stat().st_size) == (0, 0)


def test_half_a_batch_that_the_disk_did_not_take_is_not_replayed_beside_the_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    spool = Spool(tmp_path / NAME)
    assert spool.append(rows(2))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space"):
            spool.append(rows(2, 2))
    assert spooled(tmp_path) == ["req_0", "req_1"]
    assert not spool.append(rows(1, 4)), "the writer knows that there are rows"
    assert spooled(tmp_path) == ["req_0", "req_1", "req_4"]


def test_what_a_restore_carries_over_is_money_and_no_question() -> None:
    asked, carried = Requests("2026-12-01", 0.5, "miss", False), Requests("2026-12-01", 0.25, "", False)
    found = summed(Rows((asked, carried), ()), datetime(2026, 12, 1, tzinfo=UTC), "day")
    assert (found.total_usd, found.requests) == (0.75, 1)
    assert [(day.cost_usd, day.requests) for day in found.rows] == [(0.75, 1)]


def test_requests_of_a_day_that_are_alike_are_read_as_one(tmp_path: Path) -> None:
    with writing(None, tmp_path) as log:
        for row in rows(5):
            log.put(replace(row, cache="hit" if row.request_id == "req_4" else "miss"))
    read = read_rows(None, [tmp_path / "audit.sqlite"], DAY)
    alike = sorted((each.cache, each.count, each.cost_usd) for each in read.requests)
    assert alike == [("hit", 1, 0.5), ("miss", 4, 2.0)]
    found = summed(read, DAY, "provider")
    assert (found.requests, found.cached, found.total_usd) == (5, 1, 2.5)
