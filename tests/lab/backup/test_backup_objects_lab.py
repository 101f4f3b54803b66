"""What is in a database beside its rows: views, routines, triggers, events."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from backup_lab import Root, forged
from projects import Project, only_redis, project
from servers import free_port

from techsapo_ops.adapters.packed import PackedReader
from techsapo_ops.backup.repository.folder import Backup
from techsapo_ops.backup.verify import verify_backup
from techsapo_ops.stack.stack import Stack

pytestmark = pytest.mark.lab

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


@pytest.fixture(scope="module")
def lab() -> Iterator[Project]:
    """A stack whose operator has made objects in its MariaDB."""
    with project(only_redis(mysql={"port": free_port()})) as made:
        made.run("up")
        with Root(made) as sql:
            for statement in OBJECTS:
                sql.execute(statement)
        yield made


def content(backup: Backup, kind: str) -> str:
    part = backup.read().part(kind)
    assert part is not None
    return b"".join(PackedReader(backup.folder / part.file)).decode()


def test_it_restores_with_its_objects(lab: Project, backup: Backup) -> None:
    deep = json.loads(lab.run("backup", "verify", backup.id, "--deep", "--json").stdout)
    assert deep["ok"] is True
    assert "mysql" in {part["kind"] for part in deep["parts"]}


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
    assert "function twice differs from the backup" in named
