"""What was spent before a restore counts after it, also where a kill came in between."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fakes.letters import Letters, backup, half, read, write
from fakes.memory_project import MemoryProject
from rows import each_row

from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.restore import run as restore
from techsapo_ops.backup.restore.intent import intend
from techsapo_ops.errors import OpsError
from techsapo_ops.services import audit_spent, sqlite_tool
from techsapo_ops.stack.journal import interrupted, restore_journal
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stores.audit.costs import spent_since
from techsapo_ops.stores.audit.spool import AuditRow
from techsapo_ops.stores.audit.store import AuditStore

NOW = datetime.now(UTC)
TODAY = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
MONTH = TODAY.replace(day=1)


class Purse(Letters):
    """Letters that hold an amount: `12`."""

    def spent(self, stack: Stack, kind: str) -> Mapping[str, int]:
        assert kind == "letters"
        assert stack.engine.observe().services["app"].state == "stopped"
        return {"day": int((stack.directory / "letters.txt").read_text())}

    def keep_spent(self, stack: Stack, kind: str, before: Mapping[str, int]) -> None:
        assert stack.engine.observe().services["app"].state == "stopped"
        now = self.spent(stack, kind)["day"]
        (stack.directory / "letters.txt").write_text(str(max(now, before["day"])))


@pytest.fixture
def made(tmp_path: Path) -> Iterator[MemoryProject]:
    project = MemoryProject(tmp_path)
    project.up()
    with registry.including(Purse()):
        yield project


@pytest.mark.parametrize(("now", "counts"), [("30", "30"), ("5", "12")])
def test_the_greater_amount_counts(made: MemoryProject, now: str, counts: str) -> None:
    old = backup(made, "12")
    write(made, now)
    restore.perform(made.stack(), intend(made.stack(), old))
    assert read(made) == counts
    assert interrupted(made.stack().layout) is None


def test_another_backup_in_place_of_an_interrupted_restore_keeps_what_was_spent_before_that(
    made: MemoryProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = backup(made, "12")
    write(made, "30")
    monkeypatch.setattr(restore, "go_back", lambda *_: None)  # a kill -9 leaves no time for it
    monkeypatch.setattr(Purse, "broken", True)
    with pytest.raises(OpsError, match="read-only"):
        restore.perform(made.stack(), intend(made.stack(), old))
    monkeypatch.setattr(Purse, "broken", False)
    left = interrupted(made.stack().layout)
    assert left.facts.spent == {"letters": {"day": 30}}
    restore.perform_instead(made.stack(), intend(made.stack(), old), left.facts)
    assert read(made) == "30"


@each_row("spent", [{"letters": {"day": -1}}, {"letters": 3}, [], {"letters": {"day": "1"}}])
def test_a_note_with_another_amount_is_damaged(made: MemoryProject, spent: object) -> None:
    stack = half(made, "")
    path = restore_journal(stack.layout).path
    entry = json.loads(path.read_text())
    path.write_text(json.dumps({**entry, "facts": {**entry["facts"], "spent": spent}}))
    with pytest.raises(OpsError, match="is damaged"):
        interrupted(stack.layout)


def row(id_: str, time: datetime, usd: float, key: str | None = None, *, simulated: bool = False) -> AuditRow:
    return AuditRow(
        id_ * 32, time, "app", "r", None, "basic", "0" * 64, ("a", "b"), 0.9, 0.9, True, simulated, "miss",
        usd, "ok", 5, key,
    )  # fmt: skip


def filled(path: Path, *rows: AuditRow) -> Path:
    store = AuditStore(None, path)
    store.insert(list(rows))
    store.close()
    return path


def tool(path: Path, *words: str) -> list[list[object]]:
    """What the tool prints, as it is started beside the database."""
    text = Path(sqlite_tool.__file__).read_text()
    argv = [sys.executable, "-I", "-c", text, words[0], path.name, *words[1:]]
    done = subprocess.run(argv, cwd=path.parent, capture_output=True, text=True, check=True)
    found: list[list[object]] = json.loads(done.stdout)
    return found


def spent(path: Path, *resets: datetime, now: datetime = NOW) -> dict[str, int]:
    asked = audit_spent.query(audit_spent.TABLE, now, resets)
    return audit_spent.spent_of(tool(path, "ask", audit_spent.TABLE, asked))


def test_an_audit_log_that_came_back_says_what_was_spent_of_every_day_and_key(tmp_path: Path) -> None:
    before = (row("1", MONTH, 0.1), row("2", TODAY, 0.25, "k1"), row("3", TODAY, 2.0, simulated=True))
    since = (
        row("4", NOW, 0.000000001, "k1"), row("5", NOW, 0.5), row("6", NOW, 1.0, "it's \\ 鍵"),
        row("7", MONTH - timedelta(days=2), 9.0),
    )  # fmt: skip
    (tmp_path / "there").mkdir()
    there = filled(tmp_path / "there" / "audit.sqlite", *before, *since)
    back = filled(tmp_path / "audit.sqlite", *before)
    wanted = spent(there)
    lacking = audit_spent.carrying(audit_spent.TABLE, wanted, spent(back))
    assert len(lacking) == 3
    tool(back, "ask", audit_spent.TABLE, *lacking)
    assert spent(back) == wanted
    for key in (None, "k1", "it's \\ 鍵"):
        for start in (TODAY, MONTH):
            for simulated in (True, False):
                assert spent_since(None, back, start, key, simulated=simulated) == pytest.approx(
                    spent_since(None, there, start, key, simulated=simulated), abs=1e-12
                )
    assert audit_spent.carrying(audit_spent.TABLE, wanted, spent(back)) == [], "once is enough"
    with closing(sqlite3.connect(back)) as connection:
        found = connection.execute("SELECT COUNT(*) FROM audit_requests WHERE status = 'restored'")
        assert found.fetchone() == (3,)


def test_what_was_spent_after_a_reset_counts_after_a_restore_and_what_was_spent_before_does_not(
    tmp_path: Path,
) -> None:
    noon = datetime(2026, 11, 10, 12, tzinfo=UTC)
    day, month = noon - timedelta(hours=2, microseconds=-5), noon + timedelta(hours=2)
    rows = [row(f"{n:x}", noon + timedelta(hours=n - 4), 2.0**n, "k1") for n in range(8)]
    rows.append(row("8", noon + timedelta(days=1), 1000.0, "k1"))
    (tmp_path / "there").mkdir()
    there = filled(tmp_path / "there" / "audit.sqlite", *rows)
    back = filled(tmp_path / "audit.sqlite", rows[0])
    wanted = spent(there, day, month, now=noon)
    tool(back, "ask", audit_spent.TABLE, *audit_spent.carrying(
        audit_spent.TABLE, wanted, spent(back, day, month, now=noon)
    ))  # fmt: skip
    for start in (noon.replace(hour=0), day.replace(microsecond=0), month, noon + timedelta(hours=6)):
        assert spent_since(None, back, start, "k1") == spent_since(None, there, start, "k1"), start
    assert spent(back, day, month, now=noon) == wanted


@each_row("name", ["x", "2026-01-01 2 k", "2026-01-01' 1 k"])
def test_a_name_that_is_none_of_ours_gets_into_no_statement(name: str) -> None:
    with pytest.raises(OpsError, match="is not a record of spending"):
        audit_spent.carrying(audit_spent.TABLE, {name: 1}, {})
