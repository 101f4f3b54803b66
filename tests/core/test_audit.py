"""An answer has its audit row in a real MariaDB, whatever becomes of the database in between."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from audit_rows import ROW, count, prepare
from orchestrator import ask, serving
from servers import mariadb, wait_for

from techsapo_ops.stores.audit.log import AuditLog

pytestmark = pytest.mark.needs("mariadbd", "mariadb-install-db")


def test_a_kill_9_of_the_database_loses_no_row(tmp_path: Path) -> None:
    directory = tmp_path / "db"
    with mariadb(directory) as first:
        log = AuditLog(prepare(first), tmp_path)
        log.start()
        log.put(ROW)
        wait_for(lambda: count(first) == 1, what="first row")
        sent = 1
        for n in range(1, 2001):
            log.put(replace(ROW, id=f"{n:032x}"))
            sent += 1
            if n == 300:
                first.kill()
            if n % 100 == 0:
                time.sleep(0.02)
        wait_for(lambda: log.status().spooled + log.status().waiting > 0, what="rows wait")
    assert not log.status().healthy
    with mariadb(directory, port=first.port) as again:
        wait_for(lambda: count(again) == sent, what="every row written")
        wait_for(lambda: log.status().healthy and log.status().spooled == 0, what="healthy again")
        log.close()
        assert count(again) == sent
    assert not (tmp_path / "audit-spool.jsonl").exists()


def test_the_app_answers_while_its_database_is_down_and_writes_later(tmp_path: Path) -> None:
    with mariadb(tmp_path / "db") as first:
        prepare(first)
        mysql = {"port": first.port, "user": "root", "password": first.password}
        with serving(tmp_path / "app", mysql=mysql) as app:
            assert ask(app, "一つ目").status_code == 200
            wait_for(lambda: count(first) == 1, what="first row")
            first.kill()
            assert ask(app, "二つ目").status_code == 200
            assert ask(app, "三つ目").status_code == 200
            with mariadb(tmp_path / "db", port=first.port) as again:
                wait_for(lambda: count(again) == 3, what="all rows")
    told = app.log()
    assert first.password is not None
    assert first.password not in told
    assert "一つ目" not in told
