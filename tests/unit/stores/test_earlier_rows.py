"""The history in SQLite goes into MariaDB, once. Here that is a file of SQLite too, behind the same store."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from rows import each_row
from servers import wait_for
from written import ROW as PLAIN
from written import told, writing

from techsapo_ops.stores.audit import earlier as module
from techsapo_ops.stores.audit import store as tables
from techsapo_ops.stores.audit.database import AuditServer, sqlite_engine
from techsapo_ops.stores.audit.earlier import NOTE, EarlierRows, spent_earlier
from techsapo_ops.stores.audit.log import AuditLog
from techsapo_ops.stores.audit.spool import AuditCall, AuditRow
from techsapo_ops.stores.audit.store import AuditStore

NOON = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
CALL = AuditCall("gpt", "m", "answer", "ok", 0.25, 100, 20, 900, "m-2026-11-17")
ROW = replace(
    PLAIN, time=NOON, user_id="ci", providers=("gpt", "日本"), consensus=None, simulated=False, key_id="k1",
    prompt="伏せた質問", threshold=0.7, claimed_user="bob", calls=(CALL, replace(CALL, phase="grade")),
)  # fmt: skip


def rows(count: int, first: int = 0) -> list[AuditRow]:
    numbers = range(first, first + count)
    return [replace(ROW, id=f"{n:032x}", time=NOON + timedelta(seconds=n)) for n in numbers]


def kept(folder: Path, *more: AuditRow) -> Path:
    store = AuditStore(None, folder / "audit.sqlite")
    if more:
        store.insert(list(more))
    store.close()
    return folder / "audit.sqlite"


class Database:
    """Where the history goes; `refuses` says how many writes it refuses first."""

    def __init__(self, folder: Path, refuses: int = 0) -> None:
        self.store = AuditStore(None, folder / "database.sqlite")
        self.refuses = refuses
        self.batches: list[int] = []

    def insert(self, new: list[AuditRow]) -> bool:
        if self.refuses:
            self.refuses -= 1
            return False
        self.store.insert(new)
        self.batches.append(len(new))
        return True

    def run(self, file: Path) -> EarlierRows:
        earlier = EarlierRows(file, self.insert)
        while not earlier.over:
            earlier.go_on()
        return earlier


def whole(file: Path) -> list[Any]:
    engine = sqlite_engine(file)
    requests, calls = tables.audit_tables()
    with engine.connect() as connection:
        found = [connection.execute(sa.select(t).order_by(*list(t.c)[:2])).all() for t in (requests, calls)]
    engine.dispose()
    return found


def test_every_row_and_call_is_the_same_afterwards_and_the_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 3)
    file = kept(tmp_path, *rows(8))
    database = Database(tmp_path)
    database.run(file)
    assert whole(tmp_path / "database.sqlite") == whole(file)
    assert database.batches == [3, 3, 2]
    assert (tmp_path / f"audit.sqlite{NOTE}").read_text() == "8\n"


def test_it_is_done_once_and_again_only_for_what_came_since(tmp_path: Path) -> None:
    file = kept(tmp_path, *rows(2))
    database = Database(tmp_path)
    database.run(file)
    database.run(file)
    assert database.batches == [2]
    kept(tmp_path, *rows(1, first=2))  # a while without MariaDB
    database.run(file)
    assert len(whole(tmp_path / "database.sqlite")[0]) == 3
    assert (tmp_path / f"audit.sqlite{NOTE}").read_text() == "3\n"


def test_what_was_cut_short_begins_anew_and_makes_no_second_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    file = kept(tmp_path, *rows(4))
    database = Database(tmp_path)
    EarlierRows(file, database.insert).go_on()  # killed here
    assert not (tmp_path / f"audit.sqlite{NOTE}").exists()
    database.refuses = 1
    database.run(file)
    assert len(whole(tmp_path / "database.sqlite")[0]) == 4


@each_row("count", [0, 1])
def test_nothing_is_to_do_without_a_file_or_rows(tmp_path: Path, count: int) -> None:
    file = kept(tmp_path) if count else tmp_path / "audit.sqlite"
    database = Database(tmp_path)
    database.run(file)
    assert database.batches == []


def test_until_it_is_over_the_money_spent_counts_and_then_no_second_time(tmp_path: Path) -> None:
    file = kept(tmp_path, *rows(3), replace(ROW, id="f" * 32, time=NOON - timedelta(days=1)))
    assert spent_earlier(file, NOON, None, simulated=True) == dict.fromkeys((r.id for r in rows(3)), 0.5)
    assert spent_earlier(file, NOON, "other", simulated=True) == {}
    Database(tmp_path).run(file)
    assert spent_earlier(file, NOON, None, simulated=True) == {}
    assert spent_earlier(tmp_path / "none", NOON, None, simulated=True) == {}


SERVER = AuditServer("127.0.0.1", 1, "techsapo_audit", "techsapo", None)


@pytest.fixture
def mariadb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "mariadb.sqlite"
    monkeypatch.setattr(
        "techsapo_ops.stores.audit.database._mysql_engine", lambda *_, **__: sqlite_engine(file)
    )
    return file


def test_an_instance_takes_its_history_along_and_counts_its_money_from_the_first_moment(
    tmp_path: Path, mariadb: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "techsapo.audit")
    (tmp_path / "data").mkdir()
    kept(tmp_path / "data", *rows(4))
    AuditStore(SERVER, mariadb).insert(rows(1))  # another instance's, or of a take-over that was cut short
    assert AuditLog(SERVER, tmp_path / "data").spent_since(NOON, None) == 2.0
    with writing(SERVER, tmp_path / "data") as log:
        wait_for((tmp_path / "data" / f"audit.sqlite{NOTE}").exists, what="all taken over")
        assert log.spent_since(NOON, None) == 2.0
    assert whole(mariadb) == whole(tmp_path / "data" / "audit.sqlite")
    assert "Audit rows of SQLite were taken over" in caplog.text


def test_a_history_that_cannot_be_read_is_said_and_keeps_nothing_from_being_written(
    tmp_path: Path, mariadb: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "audit.sqlite").write_bytes(b"no database at all" * 100)
    with writing(SERVER, tmp_path / "data") as log:
        assert told(log, ROW)
    assert "The audit rows in SQLite can't be imported" in caplog.text
    assert len(whole(mariadb)[0]) == 1
