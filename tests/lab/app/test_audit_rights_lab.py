"""What the app's account may do on a real MariaDB, who migrates, and as whom a dump is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pymysql
import pytest
from backup_lab import Root, backed_up, forged, stack_of
from orchestrator import QUICK
from projects import Project, only_redis, project
from rows import each_row
from servers import free_port, wait_for
from test_audit_lab import ROW

from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.repository.folder import repository_of
from techsapo_ops.errors import OpsError
from techsapo_ops.spec.models.servers import Mysql
from techsapo_ops.stores.audit.database import audit_server
from techsapo_ops.stores.audit.migrate import HEAD
from techsapo_ops.stores.audit.store import AuditStore

pytestmark = pytest.mark.lab

DENIED = {1044, 1142, 1227, 1370, 1410, 1419}
"""What MariaDB says of rights: of a database, a table, the server, a routine, accounts, a trigger."""
ADDING = {
    "*": {"SELECT"},
    "audit_requests": {"INSERT"},
    "audit_calls": {"INSERT"},
    "audit_spent": {"INSERT", "UPDATE"},
    "incidents": {"INSERT", "UPDATE"},
    "incident_alerts": {"INSERT", "UPDATE"},
    "incident_entries": {"INSERT"},
    "incident_events": {"INSERT"},
    "answer_labels": {"INSERT"},
}
"""What the app's account may."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Project]:
    """A stack as it is made today, with a row in its audit log."""
    with project(only_redis(mysql={"port": free_port()}, providers=QUICK)) as made:
        made.run("up")
        made.well()
        ask(made, "first")
        wait_for(lambda: rows(made) == 1, what="a row")
        yield made


def ask(made: Project, prompt: str) -> None:
    url = f"http://127.0.0.1:{made.spec['app']['port']}/api/v1/generate"
    assert httpx.post(url, json={"prompt": prompt}, timeout=60, trust_env=False).status_code == 200


def asked(made: Project, sql: str) -> list[tuple[Any, ...]]:
    """What the database's root is told."""
    with Root(made) as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def rows(made: Project) -> int:
    return int(asked(made, "SELECT COUNT(*) FROM audit_requests")[0][0])


def as_app(made: Project) -> pymysql.Connection[Any]:
    return pymysql.connect(
        host="127.0.0.1", port=made.spec["mysql"]["port"], user="techsapo", autocommit=True,
        password=made.layout.mysql_password.read_text(), database="techsapo_audit",
    )  # fmt: skip


def granted(made: Project) -> dict[str, set[str]]:
    """Which rights the app's account has in the audit database, by table, and in all of it (`*`)."""
    found = {}
    with as_app(made) as link, link.cursor() as cursor:
        cursor.execute("SHOW GRANTS")
        for row in cursor.fetchall():
            rights, _, of = row[0].removeprefix("GRANT ").partition(" ON `techsapo_audit`.")
            if of:
                found[of.partition(" TO ")[0].strip("`")] = set(rights.split(", "))
    return found


def cut_short(made: Project) -> None:
    """Make the database what a first start that was cut short leaves, with the rights that an image gives."""
    with Root(made) as cursor:
        for statement in (
            "DROP TABLE audit_calls",
            "DROP TABLE alembic_version",
            "GRANT ALL ON `techsapo_audit`.* TO 'techsapo'@'127.0.0.1'",
            "GRANT ALL ON `techsapo_audit`.* TO 'techsapo'@'%'",
        ):
            cursor.execute(statement)


def revision(made: Project) -> str:
    return str(asked(made, "SELECT version_num FROM alembic_version")[0][0])


@each_row(
    "statement",
    [
        "INSERT INTO alembic_version (version_num) VALUES ('0001')",
        "UPDATE audit_requests SET user_id = 'nobody'",
        "INSERT INTO audit_requests SELECT * FROM audit_requests ON DUPLICATE KEY UPDATE user_id = 'nobody'",
        "REPLACE INTO audit_requests SELECT * FROM audit_requests",
        "DELETE FROM audit_requests",
        "DELETE FROM audit_calls",
        "DELETE FROM audit_spent",
        "DELETE FROM incidents",
        "DELETE FROM answer_labels",
        "UPDATE answer_labels SET label = 'right'",
        "UPDATE incident_entries SET text = 'nothing happened'",
        "UPDATE incident_events SET text = 'nothing happened'",
        "TRUNCATE audit_requests",
        "DROP TABLE audit_requests",
        "ALTER TABLE audit_requests DROP COLUMN user_id",
        "RENAME TABLE audit_requests TO elsewhere",
        "CREATE TABLE mine (id INT)",
        "CREATE TRIGGER t BEFORE INSERT ON audit_requests FOR EACH ROW SET NEW.user_id = 'nobody'",
        "UPDATE alembic_version SET version_num = '0001'",
        "DROP DATABASE techsapo_audit",
        "SELECT * FROM mysql.global_priv",
        "CREATE USER friend",
        "SET GLOBAL general_log = 1",
    ],
)
def test_the_app_s_account_can_not(lab: Project, statement: str) -> None:
    with as_app(lab) as link, link.cursor() as cursor, pytest.raises(pymysql.MySQLError) as refused:
        cursor.execute(statement)
    assert refused.value.args[0] in DENIED, refused.value.args


def test_the_app_s_account_adds_rows_and_reads_them(lab: Project) -> None:
    assert granted(lab) == ADDING
    before = rows(lab)
    ask(lab, "second")
    wait_for(lambda: rows(lab) == before + 1, what="its row")
    assert json.loads(lab.run("answers", "costs", "--json").stdout)["requests"] >= 2


def test_a_row_that_is_sent_twice_is_one_row_and_its_neighbours_are_written(lab: Project) -> None:
    password = lab.layout.mysql_password.read_text()
    spec = Mysql.model_validate({"port": lab.spec["mysql"]["port"], "password": password})
    store, before = AuditStore(audit_server(spec), Path()), rows(lab)
    batch = [replace(ROW, id=f"{n:032x}") for n in range(3)]
    store.insert(batch[:2])
    store.insert(batch)
    store.insert(batch)
    store.close()
    assert rows(lab) == before + 3


def test_no_process_of_the_stack_is_given_the_password_of_the_migrations(lab: Project) -> None:
    password = lab.layout.mysql_migrations_password.read_text()
    assert lab.layout.mysql_migrations_password.stat().st_mode & 0o077 == 0
    for process in lab.members():
        assert password not in "\0".join([*process.cmdline(), *process.environ().values()])
    configured = [p for p in lab.layout.config.rglob("*") if p.is_file()]
    assert [p for p in configured if password in p.read_text(errors="replace")] == []


def test_an_up_goes_on_with_the_tables_and_takes_from_the_app_what_it_needs_no_more(lab: Project) -> None:
    before = rows(lab)
    cut_short(lab)
    assert "ALL PRIVILEGES" in granted(lab)["*"]
    lab.write(redis={**lab.spec["redis"], "maxmemory": "300M"})
    lab.run("up")
    assert revision(lab) == HEAD
    assert granted(lab) == ADDING
    ask(lab, "after the migration")
    wait_for(lambda: rows(lab) == before + 1, what="the app writes on")
    assert asked(lab, "SHOW INDEX FROM audit_calls WHERE Key_name = 'ix_audit_calls_time'")


def test_a_backup_has_the_incidents(lab: Project) -> None:
    part = repository_of(stack_of(lab)).find(backed_up(lab).id).read().part("mysql")
    assert part is not None
    assert set(ADDING) - {"*"} <= set(part.facts["tables"])


BEYOND = (
    "CREATE USER 'evil'@'%' IDENTIFIED BY 'x';",
    "GRANT ALL ON *.* TO 'techsapo'@'%';",
    "USE mysql;",
    "CREATE DATABASE elsewhere;",
    "SET GLOBAL local_infile = 1;",
    "CREATE DEFINER=`root`@`localhost` PROCEDURE p() DELETE FROM mysql.global_priv;",
)


def test_a_dump_can_not_reach_beyond_its_database_whoever_vouches_for_it(
    lab: Project, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    backup, own = backed_up(lab), stack_of(lab)
    kind = registry.find("mysql")
    assert kind is not None
    for number, statement in enumerate(BEYOND):
        with subtests.test(statement):
            content = f"CREATE TABLE t (id INT);\n{statement}\n-- Dump completed\n".encode()
            stack = forged(backup, own, tmp_path / str(number), "mysql", content)
            found = repository_of(stack).find(backup.id)
            part = found.read().part("mysql")
            assert part is not None
            with pytest.raises(OpsError, match="no rights outside the audit database"):
                kind.bring_back(stack, part, found.reader(part), lambda _: None)
            if number == 0:  # a server of its own takes seconds; what it refuses is the same list
                tried = kind.trial(stack, part, found.reader(part), lambda _: None)
                assert tried is not None
                assert "no rights outside the audit database" in tried.problems[0]
            assert asked(lab, "SELECT User FROM mysql.user WHERE User = 'evil'") == []
    lab.run("restore", backup.id, "--only", "mysql", "--yes")
    assert asked(lab, "SELECT User FROM mysql.user WHERE User = 'evil'") == []


def test_what_is_stored_about_a_user_goes_by_the_owners_command_and_not_a_namesakes(lab: Project) -> None:
    label = (
        "INSERT INTO answer_labels VALUES (REPEAT('{n}', 32), '{of}', '{who}', 'right', NULL, NOW(), 'cli')"
    )
    with Root(lab) as cursor:
        cursor.execute(
            "UPDATE audit_requests SET user_id = 'O''Neill', prompt = 'p', answer = 'a', panel = '{}'"
            " ORDER BY time LIMIT 1"
        )
        for n, (of, who) in enumerate([("r1", "O''Neill"), ("r1", "o''neill"), ("r2", "O''Neill ")]):
            cursor.execute(label.format(n=n, of=of, who=who))
    before = asked(lab, "SELECT COUNT(*), SUM(cost_usd), COUNT(prompt), COUNT(user_id) FROM audit_requests")
    done = lab.run("answers", "forget", "--user", "O'Neill", "--yes")
    assert "questions 1, labels 1" in done.stdout + done.stderr
    after = asked(lab, "SELECT COUNT(*), SUM(cost_usd), COUNT(prompt), COUNT(user_id) FROM audit_requests")
    assert after == [(*before[0][:2], before[0][2] - 1, before[0][3] - 1)]
    assert asked(lab, "SELECT COUNT(*) FROM audit_requests WHERE answer IS NOT NULL") == [(0,)]
    assert {who for (who,) in asked(lab, "SELECT who FROM answer_labels")} == {"o'neill", "O'Neill "}
    with Root(lab) as cursor:
        cursor.execute("DELETE FROM answer_labels")
