"""The audit database: who opens the file while another makes it waits; migrations; the app's rights."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from rows import each_row
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from techsapo_ops.services.mysql.accounts import RIGHTS, Passwords, accounts_sql, adding, narrowed
from techsapo_ops.spec.models.servers import Mysql
from techsapo_ops.spec.secret import Secret
from techsapo_ops.stores.audit import database, migrate
from techsapo_ops.stores.audit.database import make_file, sqlite_engine
from techsapo_ops.stores.audit.migrate import HEAD, MIGRATIONS, sql_from
from techsapo_ops.stores.audit.store import AuditStore, audit_tables, spent_table
from techsapo_ops.stores.incidents.store import alerts_table, entries_table, events_table, incidents_table
from techsapo_ops.stores.labels.store import labels_table

TABLES = (
    *audit_tables(), spent_table(),
    incidents_table(), alerts_table(), entries_table(), events_table(), labels_table(),
)  # fmt: skip
MIGRATE = """
import sys
from pathlib import Path
from techsapo_ops.stores.audit.store import AuditStore

AuditStore(None, Path(sys.argv[1])).ping()
"""


def test_it_is_opened_while_another_one_writes_its_first_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_file(tmp_path / "audit.sqlite")
    with closing(sqlite3.connect(tmp_path / "audit.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("CREATE TABLE something (x)")
        monkeypatch.setattr(database, "pause", lambda: other.execute("COMMIT"))
        store = AuditStore(None, tmp_path / "audit.sqlite")
        store.ping()
        store.close()
    with closing(sqlite3.connect(tmp_path / "audit.sqlite")) as later:
        assert later.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_one_that_stays_locked_is_told_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY", 0.0)
    make_file(tmp_path / "audit.sqlite")
    with closing(sqlite3.connect(tmp_path / "audit.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with closing(sqlite3.connect(tmp_path / "audit.sqlite")) as late:
            late.execute("PRAGMA busy_timeout=0")
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                database._turn_wal_on(late)


def test_two_processes_that_migrate_at_the_same_moment_make_the_tables_once(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    engine, begun = sqlite_engine(path), list[str]()

    @event.listens_for(engine, "before_cursor_execute")
    def _overtaken(*call: object) -> None:
        said = str(call[2])
        if not begun and not said.lstrip().startswith(("PRAGMA", "SELECT")):
            begun.append(said)
            subprocess.run([sys.executable, "-c", MIGRATE, str(path)], check=True)

    with engine.connect() as connection:
        migrate.upgrade(connection)
        assert migrate._revision(connection) == migrate.HEAD
    assert begun
    engine.dispose()


@each_row("schema", [migrate.SCHEMA, None])
def test_a_migration_that_fails_leaves_nothing_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schema: Path | None
) -> None:
    engine = sqlite_engine(tmp_path / "audit.sqlite")
    if schema is None:
        one_by_one(engine)

    def refused(*call: object) -> None:
        if "TABLE" in str(call[2]) and "audit_calls" in str(call[2]):
            raise sqlite3.OperationalError("disk I/O error")

    event.listen(engine, "before_cursor_execute", refused)
    with engine.connect() as connection, pytest.raises(OperationalError):
        migrate.upgrade(connection)
    event.remove(engine, "before_cursor_execute", refused)
    with engine.connect() as connection:
        assert migrate._revision(connection) is None
        migrate.upgrade(connection)
        assert migrate._revision(connection) == migrate.HEAD
    engine.dispose()


def one_by_one(engine: Engine) -> None:
    """Let the file hold a table of somebody else's: it is brought up by each migration in turn."""
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE something (x)")


def test_an_empty_file_gets_what_all_migrations_make(tmp_path: Path) -> None:
    schemas = []
    for name, whole in (("whole", True), ("stepwise", False)):
        engine = sqlite_engine(tmp_path / name)
        if not whole:
            one_by_one(engine)
        with engine.connect() as connection:
            migrate.upgrade(connection)
            assert migrate._revision(connection) == HEAD
        engine.dispose()
        schemas.append(described(tmp_path / name))
    del schemas[1]["something"]
    assert schemas[0] == schemas[1]


def described(path: Path) -> dict[str, list[object]]:
    """The columns of each table of a file, and its indices with theirs."""
    with closing(sqlite3.connect(path)) as file:
        tables = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found: dict[str, list[object]] = {}
        for table in tables:
            found[table] = file.execute(f"PRAGMA table_info({table})").fetchall()
            for _, index, *kind in file.execute(f"PRAGMA index_list({table})").fetchall():
                columns = file.execute(f"PRAGMA index_info({index})").fetchall()
                found[table].append((index, *kind, columns))
        return found


def test_neither_a_new_file_nor_a_current_one_needs_alembic(tmp_path: Path) -> None:
    twice = MIGRATE + MIGRATE.splitlines()[-1] + "\nprint({'alembic', 'mako'} & set(sys.modules))\n"
    argv = [sys.executable, "-c", twice, str(tmp_path / "audit.sqlite")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_file_is_the_owners_alone_is_made_once_and_is_no_link(tmp_path: Path) -> None:
    for _ in range(2):
        make_file(tmp_path / "audit.sqlite")
    assert stat.S_IMODE((tmp_path / "audit.sqlite").stat().st_mode) == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "audit.sqlite")
    with pytest.raises(OSError, match="symbolic links"):
        make_file(tmp_path / "link")


def test_making_it_takes_no_lock_from_who_has_it_open_here(tmp_path: Path) -> None:
    path = tmp_path / "audit.sqlite"
    make_file(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        make_file(path)
        others = f"import sqlite3; sqlite3.connect({str(path)!r}, timeout=0).execute('BEGIN IMMEDIATE')"
        done = subprocess.run([sys.executable, "-c", others], capture_output=True, text=True, check=False)
    assert "database is locked" in done.stderr


def test_the_newest_migration_is_the_one_that_the_code_knows() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_as_sql_they_make_what_they_make_by_a_connection() -> None:
    made = sql_from(None)
    assert f"INSERT INTO alembic_version (version_num) VALUES ('{HEAD}')" in made
    for table in TABLES:
        assert f"CREATE TABLE IF NOT EXISTS {table.name}" in made
        assert [column.name for column in table.columns if column.name not in made] == []


def test_as_sql_nothing_is_said_of_the_newest_schema_or_of_one_beyond_it() -> None:
    assert sql_from(HEAD) == ""
    assert sql_from("9999") == ""


HOSTS = ("127.0.0.1", "%")
CHANGED = {"audit_spent", "incidents", "incident_alerts"}
"""The tables whose rows the app changes."""


def test_rows_are_added_to_the_tables_that_the_app_writes_and_to_no_other() -> None:
    assert [table.name for table in TABLES] == list(RIGHTS)
    granted = [line for line in adding(Mysql(), HOSTS) if line.startswith("GRANT")]
    assert len(granted) == len(RIGHTS) * len(HOSTS)
    for line in granted:
        right, _, table = line.partition(" ON `techsapo_audit`.")
        assert right == ("GRANT INSERT, UPDATE" if table.split("`")[1] in CHANGED else "GRANT INSERT")


@each_row(
    "sql",
    [
        accounts_sql(Mysql(), Passwords(Secret("a"), Secret("b")), HOSTS).split(";\n"),
        narrowed(Mysql(), HOSTS),
    ],
    ids=["each start", "once all runs"],
)
def test_nothing_gives_the_app_s_account_more_than_to_read_the_whole_database(sql: list[str]) -> None:
    whole = [line for line in sql if "`techsapo_audit`.* TO 'techsapo'@" in line]
    assert {line.partition(" ON ")[0] for line in whole} == {"GRANT SELECT"}
