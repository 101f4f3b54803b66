"""The audit log on a real MariaDB."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pymysql
import pytest
from audit_rows import ROW, count, prepare, query
from orchestrator import ask, serving
from servers import Server, mariadb, wait_for
from test_openai_lab import compatible
from vendors import vendor
from vendors.wires import Chat

from techsapo_ops.adapters.address import Address
from techsapo_ops.adapters.probe import probe
from techsapo_ops.certs.self_signed import CA_FOLDER, ensure
from techsapo_ops.stack.service_facts import Probe
from techsapo_ops.stores.audit.log import AuditLog
from techsapo_ops.stores.audit.migrate import HEAD
from techsapo_ops.stores.audit.spool import AuditCall

pytestmark = pytest.mark.lab


def test_a_server_with_a_certificate_is_asked_by_tls_and_a_stranger_is_not_believed(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    ensure(tmp_path / "server", ["127.0.0.1"], now=now)
    chain, key = tmp_path / "server/fullchain.pem", tmp_path / "server/privkey.pem"
    with mariadb(tmp_path / "db", f"--ssl-cert={chain}", f"--ssl-key={key}") as server:
        spec, other = prepare(server, tmp_path / CA_FOLDER / "ca.pem"), tmp_path / "other"
        query(server, "CREATE USER careful@127.0.0.1 REQUIRE SSL")
        query(server, "GRANT ALL ON techsapo_audit.* TO careful@127.0.0.1")
        assert spec is not None
        ensure(other / "server", ["127.0.0.1"], now=now)
        for trusted, healthy in ((spec.ca, True), (other / CA_FOLDER / "ca.pem", False)):
            (folder := tmp_path / f"app-{healthy}").mkdir()
            log = AuditLog(replace(spec, user="careful", password=None, ca=trusted), folder)
            log.start()
            wait_for(
                lambda log=log: log.status().healthy or "opened" not in log.status().detail, what="an attempt"
            )
            assert log.status().healthy is healthy
            log.close()
        address = Address("127.0.0.1", server.port)
        login = {"user": "root", "password": server.password, "timeout": 5.0}
        assert probe(Probe("mysql"), address, ca=spec.ca, **login).ok
        found = probe(Probe("mysql"), address, ca=other / CA_FOLDER / "ca.pem", **login)
        assert not found.ok
        assert "not to be trusted" in found.detail
    with mariadb(tmp_path / "db", "--skip-ssl") as server:
        found = probe(Probe("mysql"), Address("127.0.0.1", server.port), ca=spec.ca, **login)
        assert not found.ok


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
    body = httpx.get(f"{app.url}/api/v1/health", trust_env=False).json()
    return int(body["dependencies"]["audit"]["spooled"])


OLD_TABLE = """
CREATE TABLE techsapo_audit.audit_requests (
 id CHAR(32) NOT NULL PRIMARY KEY, time DATETIME(6) NOT NULL, instance VARCHAR(64) NOT NULL,
 request_id VARCHAR(128) NOT NULL, user_id VARCHAR(64), task_type VARCHAR(16) NOT NULL,
 prompt_hash CHAR(64) NOT NULL, providers TEXT NOT NULL, confidence DOUBLE, consensus DOUBLE, accepted BOOL,
 simulated BOOL NOT NULL, cache VARCHAR(8) NOT NULL, cost_usd NUMERIC(18, 9) NOT NULL,
 status VARCHAR(32) NOT NULL, processing_ms INTEGER NOT NULL,
 INDEX ix_audit_requests_time (time), INDEX ix_audit_requests_request_id (request_id)
) ENGINE=InnoDB CHARSET=utf8mb4
"""


def test_a_database_of_the_first_version_is_upgraded_with_its_rows_by_whichever_starts_first(
    tmp_path: Path,
) -> None:
    with mariadb(tmp_path / "db") as server:
        spec = prepare(server)
        query(server, OLD_TABLE)
        old = (
            "INSERT INTO techsapo_audit.audit_requests VALUES (REPEAT('f', 32), NOW(6), 'app', 'old', NULL, "
            "'basic', REPEAT('0', 64), '[]', .8, .7, 1, 1, 'miss', 0.5, 'accepted', 9); COMMIT"
        )
        link = pymysql.connect(
            host=server.host, port=server.port, user="root", password=server.password or "",
            client_flag=65536,
        )  # fmt: skip
        with link, link.cursor() as cursor:
            cursor.execute(old)
            while cursor.nextset():
                pass
        call = AuditCall("sim-a", "simulated-1", "answer", "success", 0.25, 10, 20, 30)
        logs = []
        for n in range(3):
            (tmp_path / f"app-{n}").mkdir()
            logs.append(AuditLog(spec, tmp_path / f"app-{n}"))
            logs[-1].start()
            logs[-1].put(replace(ROW, id=f"{n:032x}", prompt="[EMAIL] さん", calls=(call,), key_id="k"))
        wait_for(lambda: count(server) == 4, what="the old row and a new one of each")
        for log in logs:
            log.close()
        versions = query(server, "SELECT version_num FROM techsapo_audit.alembic_version")
        calls = query(server, "SELECT COUNT(*), SUM(cost_usd) FROM techsapo_audit.audit_calls")
        prompts = query(
            server,
            "SELECT DISTINCT CONVERT(prompt USING utf8mb4) FROM techsapo_audit.audit_requests ORDER BY 1",
        )
        spent = logs[0].spent_since(datetime(2026, 1, 1, tzinfo=UTC), None)
    assert versions == [(HEAD,)]
    assert [float(str(v)) for v in calls[0]] == [3, 0.75]
    assert prompts == [(None,), ("[EMAIL] さん",)]
    assert spent == pytest.approx(0.5 + 3 * ROW.cost_usd)


def test_what_is_secret_reaches_neither_database_nor_log_nor_vendor_where_the_spec_says_so(
    tmp_path: Path,
) -> None:
    prompt = "taro@example.co.jp から 090-1234-5678 に連絡。password=hunter2 でログインできない"
    masked = "[EMAIL_1] から [PHONE_1] に連絡。password=[SECRET_1] でログインできない"

    async def main(mysql: dict[str, Any]) -> tuple[list[str], str]:
        async with vendor(Chat()) as seen:
            more = {"audit": {"prompt": "masked"}, "wallbounce": {"mask_prompts": True}}
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


def test_costs_are_summed_up_from_the_audit_database_with_advice(tmp_path: Path) -> None:
    import sys

    import warm

    def costs(*options: str) -> dict[str, Any]:
        argv = [sys.executable, "-m", "techsapo_ops", "costs", "--json", *options]
        argv += ["--file", str(tmp_path / "techsapo.yaml")]
        done = warm.run(argv, text=True)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    with serving(tmp_path, data_in_state=True) as app:
        asked = [ask(app, f"disk full {n}").json() for n in range(25)]
        ask(app, "disk full 0")  # from the cache
    total = sum(a["cost_usd"] for a in asked)
    by_provider = costs()
    assert by_provider["total_usd"] == pytest.approx(total, abs=1e-7)
    assert (by_provider["requests"], by_provider["cached"]) == (26, 1)
    told = {r["name"]: r["cost_usd"] for r in by_provider["rows"]}
    for name in told:
        charged = sum(p["cost_usd"] for a in asked for p in a["providers"] if p["name"] == name)
        assert told[name] == pytest.approx(charged, abs=1e-6)
    (day,) = costs("--by", "day")["rows"]
    assert (day["requests"], day["cost_usd"]) == (26, pytest.approx(total, abs=1e-7))
    models = {p["model"] for a in asked for p in a["providers"]}
    assert {r["name"] for r in costs("--by", "model")["rows"]} == models
    best = by_provider["recommended"]
    pairs = [a for a in asked if len(a["providers"]) == 2]
    assert len(pairs) >= 20, "most questions must be settled by two"
    assert best["providers"] == ["sim-a", "sim-b"]
    assert best["requests"] == len(pairs)
    assert best["confidence"] == pytest.approx(sum(a["confidence"] for a in pairs) / len(pairs), abs=1e-6)
    assert best["cost_usd"] == pytest.approx(sum(a["cost_usd"] for a in pairs) / len(pairs), abs=1e-8)
