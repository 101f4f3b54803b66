"""Backups of an audit log in SQLite: taken while the app writes, restored as a test and for real."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import Project, only_redis, project
from servers import free_port, wait_for

from techsapo_ops.adapters.packed import PackedReader, PackedWriter
from techsapo_ops.backup.create import create_backup
from techsapo_ops.backup.repository.folder import Backup, repository_of
from techsapo_ops.backup.restore import run as restore
from techsapo_ops.backup.restore.intent import intend
from techsapo_ops.backup.verify import verify_backup
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.stack import Stack

pytestmark = pytest.mark.lab

ROWS = 40_000
COUNT = "SELECT COUNT(*) FROM notes"


@pytest.fixture(scope="module")
def lab() -> Iterator[Project]:
    spec = only_redis(
        app={"drain": "0s", "instances": [{"port": free_port()}, {"port": free_port()}]},
        nginx={"enabled": False},
        backup={"path": "保管 庫"},
        schedule={"by": "none"},
    )
    with project(spec) as made:
        made.run("up")
        for app in ("app-1", "app-2"):
            wait_for(database(made, app).exists, what=f"the audit log of {app}")
        with opened(made) as sql:
            sql.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)")
            sql.executemany("INSERT INTO notes (text) VALUES (?)", (("x" * 200,) for _ in range(ROWS)))
        yield made


def database(made: Project, app: str = "app-1") -> Path:
    return made.state / "data" / app / "audit.sqlite"


def opened(made: Project) -> sqlite3.Connection:
    return sqlite3.connect(database(made), timeout=60)


def count(made: Project) -> int:
    with opened(made) as sql:
        return int(sql.execute(COUNT).fetchone()[0])


def litter(made: Project) -> list[str]:
    return [p.name for p in database(made).parent.iterdir() if "backup" in p.name or "restor" in p.name]


def test_a_stack_without_mariadb_gets_the_audit_log_of_every_instance_backed_up(
    lab: Project, backup: Backup
) -> None:
    manifest = backup.read()
    assert set(manifest.kinds) == {"redis", "sqlite:app-1", "sqlite:app-2", "config"}
    assert manifest.left_out == {
        "mysql": "this stack has no MariaDB",
        "prometheus": "this stack has no Prometheus",
        "grafana": "this stack has no Grafana",
    }
    part = manifest.part("sqlite:app-1")
    assert part is not None
    assert part.file == f"audit-app-1-{backup.id}.sqlite.zst"
    assert part.facts["tables"]["notes"] == {"rows": ROWS}
    assert "audit_requests" in part.facts["tables"]
    assert (backup.folder / part.file).stat().st_mode & 0o777 == 0o600
    assert litter(lab) == []


def test_rows_written_during_the_backup_cause_no_false_alarm_and_wait_for_nothing(
    lab: Project, stack: Stack
) -> None:
    ended = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        sql = opened(lab)
        while not ended.is_set():
            with sql:
                sql.execute("INSERT INTO notes (text) VALUES ('during')")
            written += 1
        sql.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        ids = []
        for _ in range(2):
            before = count(lab)
            made = create_backup(stack, only=("sqlite",)).backup
            part = made.read().part("sqlite:app-1")
            assert part is not None
            assert before <= part.facts["tables"]["notes"]["rows"] < count(lab)
            ids.append(made.id)
    finally:
        ended.set()
        writer.join()
    assert written > 20
    for id_ in ids:
        assert verify_backup(stack, id_, deep=True).ok


def test_a_copy_that_lost_a_row_or_a_page_is_found_by_opening_it(
    stack: Stack, lab: Project, tmp_path: Path
) -> None:
    from techsapo_ops.services import sqlite

    made = create_backup(stack, only=("sqlite",)).backup
    part = made.read().part("sqlite:app-1")
    assert part is not None
    whole = b"".join(PackedReader(made.folder / part.file))
    lost = tmp_path / "lost.sqlite"
    lost.write_bytes(whole)
    with sqlite3.connect(lost) as sql:
        sql.execute("DELETE FROM notes WHERE id = 7")
    torn = bytearray(whole)
    torn[40 * 4096 : 41 * 4096] = b"\xff" * 4096
    for content, said in (
        (lost.read_bytes(), "rows, not"),
        (bytes(torn), "integrity_check|malformed|opened"),
    ):
        packed = tmp_path / "packed.zst"
        packed.unlink(missing_ok=True)
        with PackedWriter(packed) as file:
            file.write(content)
        wrong = sqlite.trial(PackedReader(packed), part, tmp_path, lambda _: None).problems
        assert wrong
        assert any(word in " ".join(wrong) for word in said.split("|")), wrong
    repository_of(stack).remove(made)


def test_restore_swaps_the_log_in_with_the_app_stopped_and_goes_on_writing(
    lab: Project, backup: Backup
) -> None:
    with opened(lab) as sql:  # it stays open meanwhile, as someone's who looks on
        sql.execute("DELETE FROM notes")
    done = json.loads(lab.run("restore", backup.id, "--only", "sqlite", "--yes", "--json").stdout)
    assert set(done["seconds"]) == {"sqlite:app-1", "sqlite:app-2"}
    assert count(lab) == ROWS
    assert litter(lab) == []
    lab.well()
    lab.run("restore", done["safety"], "--yes")
    assert count(lab) == 0


def test_a_log_that_is_gone_or_damaged_is_said_and_comes_back(lab: Project, backup: Backup) -> None:
    lab.run("stop", "app-1")  # one that opens the file while it is written anew makes an empty log of it
    file = database(lab)
    for ending in ("-wal", "-shm"):
        file.with_name(file.name + ending).unlink(missing_ok=True)
    file.write_bytes(b"no database at all" * 1000)
    said = lab.run("backup", "--only", "sqlite", code=1).stderr
    assert "file is not a database" in said
    assert "if the database file is damaged, move it away" in said
    file.unlink()
    lab.run("start", "app-1")
    lab.run("restore", backup.id, "--only", "sqlite", "--yes")
    assert count(lab) == ROWS


def test_a_restore_that_fails_brings_back_the_very_file(lab: Project, backup: Backup, stack: Stack) -> None:
    with opened(lab) as sql:
        sql.execute("INSERT INTO notes (text) VALUES ('precious')")
    intent = intend(stack, backup.id, ("sqlite",))
    part = next(p for p in intent.parts if p.kind == "sqlite:app-1")
    part.facts["tables"]["notes"]["rows"] += 1  # type: ignore[index] # a wish that can't be fulfilled
    with pytest.raises(OpsError, match=r"was not restored correctly[\s\S]*was undone"):
        restore.perform(stack, intent)
    with opened(lab) as sql:
        assert sql.execute("SELECT COUNT(*) FROM notes WHERE text = 'precious'").fetchone() == (1,)
    assert litter(lab) == []
    lab.well()
