"""What is in a database beside its rows: views, routines, triggers, events, and who may do what."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pymysql
import pytest
from backup_lab import Root, backed_up, forged, stack_of
from projects import Project, only_redis, project
from servers import free_port

from techsapo_ops.adapters.packed import PackedReader
from techsapo_ops.backup.repository import Backup
from techsapo_ops.operations.backup.verify import verify_backup
from techsapo_ops.stack.stack import Stack

pytestmark = pytest.mark.lab

PASSWORD = "canary of 'reporting'"
OBJECTS = (
    "CREATE TABLE notes (id INT PRIMARY KEY AUTO_INCREMENT, text VARCHAR(200), KEY by_text (text))",
    "CREATE SEQUENCE numbers START WITH 7",
    "INSERT INTO notes VALUES (1, 'one')",
    "CREATE VIEW latest AS SELECT MAX(id) AS id FROM notes",
    "CREATE TRIGGER trimmed BEFORE INSERT ON notes FOR EACH ROW SET NEW.text = TRIM(NEW.text)",
    "CREATE PROCEDURE tidy(IN days INT) DELETE FROM notes WHERE id < days",
    "CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC RETURN 2 * n",
    "CREATE FUNCTION thrice(n INT) RETURNS INT DETERMINISTIC RETURN 3 * n",
    "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2031-01-01 03:00:00' DO CALL tidy(30)",
    # Whoever loads this after its time does not find it again, and the backup is none the worse for it.
    "CREATE EVENT soon ON SCHEDULE AT NOW() + INTERVAL 1 SECOND DO SELECT 1",
)
ACCOUNTS = (
    "CREATE ROLE readers",
    "GRANT SELECT ON techsapo_audit.notes TO readers",
    f"CREATE USER 'reporting'@'%' IDENTIFIED BY '{PASSWORD.replace(chr(39), chr(39) * 2)}' "
    "WITH MAX_USER_CONNECTIONS 3",
    "GRANT SELECT (id) ON techsapo_audit.notes TO 'reporting'@'%'",
    "GRANT EXECUTE ON PROCEDURE techsapo_audit.tidy TO 'reporting'@'%'",
    "GRANT PROCESS ON *.* TO 'reporting'@'%'",
    "GRANT readers TO 'reporting'@'%'",
    "CREATE USER '監 視\\n''x'@'10.%' IDENTIFIED VIA ed25519 USING PASSWORD('another canary')",
    "GRANT ALL ON `techsapo\\_audit`.* TO '監 視\\n''x'@'10.%'",
)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A stack whose operator has made objects and accounts in its MariaDB."""
    place = tmp_path_factory.mktemp("away")
    offsite = {"restic": str(place / "repository"), "password": "of the repository"}
    spec = only_redis(mysql={"port": free_port()}, backup={"offsite": offsite})
    with project(spec) as made:
        made.run("up")
        with Root(made) as sql:
            for statement in OBJECTS:
                sql.execute(statement)
            with suppress(pymysql.err.OperationalError):  # built in
                sql.execute("INSTALL SONAME 'auth_ed25519'")
            for statement in ACCOUNTS:
                sql.execute(statement)
        yield made


@pytest.fixture(scope="module")
def backup(lab: Project) -> Backup:
    return backed_up(lab)


@pytest.fixture(scope="module")
def stack(lab: Project) -> Stack:
    return stack_of(lab)


def content(backup: Backup, kind: str) -> str:
    part = backup.read().part(kind)
    assert part is not None
    return b"".join(PackedReader(backup.folder / part.file)).decode()


def test_it_restores_with_objects_and_accounts_and_no_hash_is_in_it(lab: Project, backup: Backup) -> None:
    with Root(lab) as sql:
        sql.execute("SELECT Priv FROM mysql.global_priv WHERE User IN ('reporting') OR Host = '10.%'")
        hashes = [json.loads(row[0])["authentication_string"] for row in sql.fetchall()]
    assert len([h for h in hashes if len(h) > 30]) == 2
    plain = content(backup, "accounts") + backup.read().text()
    assert [h for h in hashes if h in plain] == []
    assert sorted(backup.read().part("accounts").facts["accounts"]) == [  # type: ignore[union-attr] # it is there
        "'reporting'@'%'", "'監 視\n'x'@'10.%'", "role readers",
    ]  # fmt: skip
    deep = json.loads(lab.run("backup", "verify", "--deep", "--json").stdout)
    assert deep["ok"] is True
    assert {p["kind"] for p in deep["parts"]} >= {"mysql", "accounts"}


DROPPED = {
    "procedure tidy": r"/\*!50003 DROP PROCEDURE IF EXISTS `tidy`.*?DELIMITER ;\n"
    r"|CREATE [^\n]*PROCEDURE `tidy`.*?;;\n",
    "function thrice": r"CREATE [^\n]*FUNCTION `thrice`.*?;;\n",
    "trigger trimmed": r"/\*!50003 CREATE[^\n]*TRIGGER.*?;;\n|CREATE [^\n]*TRIGGER.*?;;\n",
    "event nightly": r"/\*!50106 CREATE[^\n]*EVENT `nightly`.*?;;\n",
    "view latest": r"/\*!50001 CREATE VIEW `latest`[^;]*;\n"
    r"|/\*!50001 CREATE ALGORITHM=UNDEFINED \*/\n[^\n]*\n/\*!50001 VIEW `latest`[^\n]*\n",
}


def test_each_object_that_a_dump_lacks_or_has_changed_is_named_and_no_other(
    backup: Backup, stack: Stack, tmp_path: Path
) -> None:
    less = whole = content(backup, "mysql")
    for name, pattern in DROPPED.items():
        less, count = re.subn(pattern, "", less, flags=re.DOTALL)
        assert count, [line for line in whole.splitlines() if name.split()[1] in line]
    changed = less.replace("RETURN 2 * n", "RETURN 4 * n")
    assert changed != less
    copied = forged(backup, stack, tmp_path, "mysql", changed.encode())
    found = verify_backup(copied, backup.id, deep=True).sentences
    named = sorted(sentence.removeprefix("mysql: ") for sentence in found)
    assert [" ".join(one.split()[:2]) for one in named] == sorted([*DROPPED, "function twice"])
    assert "function twice is another" in named


LACKING = {
    "procs_priv": "account 'reporting'@'%' lacks its rights in procs_priv techsapo_audit PROCEDURE tidy",
    "columns_priv": "account 'reporting'@'%' lacks its rights in columns_priv techsapo_audit notes id",
    "roles_mapping": "account 'reporting'@'%' lacks its rights in roles_mapping readers",
}


def test_each_right_that_the_accounts_lack_is_named(backup: Backup, stack: Stack, tmp_path: Path) -> None:
    less = content(backup, "accounts").splitlines(keepends=True)
    for table in LACKING:
        before, less = less, [line for line in less if not line.startswith(f"REPLACE INTO mysql.{table} ")]
        assert len(less) < len(before)
    copied = forged(backup, stack, tmp_path, "accounts", "".join(less).encode())
    found = verify_backup(copied, backup.id, deep=True).sentences
    assert {f"accounts: {told}" for told in LACKING.values()} <= set(found)


def test_accounts_that_are_gone_come_back_locked_and_then_with_their_passwords(
    lab: Project, backup: Backup
) -> None:
    def login() -> None:
        pymysql.connect(
            host="127.0.0.1", port=lab.spec["mysql"]["port"], user="reporting", password=PASSWORD,
            database="techsapo_audit",
        ).close()  # fmt: skip

    login()
    with Root(lab) as sql:
        sql.execute("SHOW GRANTS FOR 'reporting'@'%'")
        grants = sorted(sql.fetchall())
        sql.execute("DROP USER 'reporting'@'%'")
        sql.execute("GRANT INSERT ON techsapo_audit.notes TO readers")
    lab.run("restore", backup.id, "--only", "accounts", "--yes")
    with pytest.raises(pymysql.err.OperationalError):
        login()
    lab.run("restore", backup.id, "--only", "logins", "--yes")
    login()
    with Root(lab) as sql:
        sql.execute("SHOW GRANTS FOR 'reporting'@'%'")
        assert sorted(sql.fetchall()) == grants
        sql.execute("SHOW GRANTS FOR readers")
        assert any("INSERT" in row[0] for row in sql.fetchall()), "an account that is there keeps its rights"
    assert not [p.name for p in lab.state.iterdir() if "restored" in p.name]
