"""The audit log on a real MariaDB."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from audit_rows import ROW, count, prepare, query
from orchestrator import ask, serving
from servers import Server, mariadb, wait_for
from test_openai_lab import compatible
from vendors import vendor
from vendors.wires import Chat

from techsapo_ops.stores.audit import migrate
from techsapo_ops.stores.audit.costs import spent_since
from techsapo_ops.stores.audit.database import audit_engine
from techsapo_ops.stores.audit.log import AuditLog
from techsapo_ops.stores.audit.spool import AuditRow
from techsapo_ops.stores.audit.store import AuditStore

pytestmark = pytest.mark.lab


def test_two_instances_that_start_together_make_the_table_once(tmp_path: Path) -> None:
    with mariadb(tmp_path / "db") as server:
        spec = prepare(server)
        logs = []
        for n in range(4):
            (tmp_path / f"app-{n}").mkdir()
            logs.append(AuditLog(spec, tmp_path / f"app-{n}"))
        for n, log in enumerate(logs):
            log.start()
            log.put(replace(ROW, id=f"{n:032x}"))
        wait_for(lambda: count(server) == 4, what="a row of each")
        for log in logs:
            log.close()


_OTHER_MEMBER = """
import pathlib, sys
from techsapo_ops.stores.audit import migrate
from techsapo_ops.stores.audit.database import AuditServer, audit_engine
from techsapo_ops.spec.secret import Secret
migrate.LOCK = "of its own"
server = AuditServer(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4], Secret(sys.argv[5]))
with audit_engine(server, pathlib.Path()).connect() as connection:
    migrate.upgrade(connection)
"""


def test_a_cluster_s_members_that_migrate_at_once_leave_one_revision(tmp_path: Path) -> None:
    """The other, whose locks are its own, gets all of it done before ours notes its first revision."""
    with mariadb(tmp_path / "db") as server:
        spec = prepare(server)
        assert spec is not None
        assert spec.password is not None
        login = [spec.host, str(spec.port), spec.database, spec.user, spec.password.reveal()]
        ours, overtaken = audit_engine(spec, Path()), False

        def overtake(_: object, __: object, statement: str, *___: object) -> None:
            nonlocal overtaken
            if statement.startswith("INSERT INTO alembic_version") and not overtaken:
                overtaken = True
                subprocess.run([sys.executable, "-c", _OTHER_MEMBER, *login], check=True, timeout=60)

        sa.event.listen(ours, "before_cursor_execute", overtake)
        with ours.connect() as connection:
            migrate.upgrade(connection)
        ours.dispose()
        assert overtaken
        assert query(server, "SELECT version_num FROM techsapo_audit.alembic_version") == [(migrate.HEAD,)]


def test_a_row_is_stored_whole_in_utf8_and_utc(tmp_path: Path) -> None:
    with mariadb(tmp_path / "db") as server:
        log = AuditLog(prepare(server), tmp_path)
        log.start()
        log.put(ROW)
        log.close()
        columns = "time, CONVERT(providers USING utf8mb4), cost_usd, confidence, user_id, status"
        (row,) = query(server, f"SELECT {columns} FROM techsapo_audit.audit_requests")
    assert row[0] == datetime(2026, 11, 24, 3, 4, 5, 678901)
    assert row[1] == '["シム😀"]'
    assert float(str(row[2])) == 0.000000001
    assert row[3:] == (None, "user_abc", "timeout")


def test_what_was_spent_is_summed_up_also_where_two_instances_write_at_once(tmp_path: Path) -> None:
    def batch(first: int) -> list[AuditRow]:
        return [
            replace(
                ROW, id=f"{n:032x}", time=ROW.time + timedelta(minutes=7 * n), instance=f"app-{n % 2}",
                key_id=("k1", "鍵", None)[n % 3], simulated=n % 5 == 0, cost_usd=(n % 11) / 10**9,
            )
            for n in range(first, first + 60)
        ]  # fmt: skip

    with mariadb(tmp_path / "db") as server:
        spec = prepare(server)
        AuditStore(spec, Path()).insert(batch(0))
        stores = [AuditStore(spec, Path()), AuditStore(spec, Path())]
        with ThreadPoolExecutor() as pool:
            list(pool.map(AuditStore.insert, stores, (batch(60), batch(120))))
        stores[0].insert(batch(100))  # most are there
        for since in (ROW.time, ROW.time + timedelta(hours=5), datetime(2026, 11, 24, 6, tzinfo=UTC)):
            for key in (None, "k1", "鍵"):
                where = f"time >= '{since:%Y-%m-%d %H:%M:%S.%f}' AND NOT simulated"
                where += f" AND key_id = '{key}'" if key else ""
                ((cost,),) = query(
                    server, f"SELECT SUM(cost_usd) FROM techsapo_audit.audit_requests WHERE {where}"
                )
                spent = spent_since(spec, Path(), since, key, simulated=False)
                assert spent == pytest.approx(float(str(cost)), abs=1e-12), (since, key)


def test_rows_that_wait_on_disk_survive_a_kill_9_of_the_app(tmp_path: Path) -> None:
    with mariadb(tmp_path / "db") as first:
        prepare(first)
    mysql = {"port": first.port, "user": "root", "password": first.password}
    with serving(tmp_path / "app", mysql=mysql) as app:
        assert ask(app, "一つ目").status_code == 200
        wait_for(lambda: spooled(app) == 1, what="row on disk")
        app.kill()
    with (
        mariadb(tmp_path / "db", port=first.port) as again,
        serving(tmp_path / "app", mysql=mysql),
    ):
        wait_for(lambda: count(again) == 1, what="row written by the next process")


def spooled(app: Server) -> int:
    body = httpx.get(f"{app.url}/api/v1/health", trust_env=False, timeout=60).json()
    return int(body["dependencies"]["audit"]["spooled"])


def test_what_is_secret_reaches_neither_database_nor_log_nor_vendor_where_the_spec_says_so(
    tmp_path: Path,
) -> None:
    prompt = "taro@example.co.jp から 090-1234-5678 に連絡。password=hunter2 でログインできない"
    masked = "[EMAIL_1] から [PHONE_1] に連絡。password=[SECRET_1] でログインできない"

    async def main(mysql: dict[str, Any]) -> tuple[list[str], str]:
        async with vendor(Chat()) as seen:
            more = {"audit": {"prompt": "masked"}, "wallbounce": {"mask": "personal"}}
            with serving(
                tmp_path / "app", mysql=mysql, providers=compatible(seen, "good", "good"), **more
            ) as app:
                answer = await asyncio.to_thread(ask, app, prompt)
                assert answer.status_code == 200, answer.text
                await asyncio.to_thread(wait_for, lambda: count(server) == 1, what="row")
            return [json.dumps(asked.body, ensure_ascii=False) for asked in seen.asked], app.log()

    with mariadb(tmp_path / "db") as server:
        prepare(server)
        sent, log = asyncio.run(main({"port": server.port, "user": "root", "password": server.password}))
        (row,) = query(
            server, "SELECT CONVERT(prompt USING utf8mb4), threshold FROM techsapo_audit.audit_requests"
        )
    assert row == (masked, 0.7)
    assert len(sent) == 4  # two answers and two gradings
    assert all(masked in body for body in sent)
    for secret in ("hunter2", "taro@", "1234-5678"):
        assert secret not in log + "".join(sent)
