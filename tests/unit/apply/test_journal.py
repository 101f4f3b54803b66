"""The journal: what is on disk at each moment, and which commands wait until half of something has ended."""

from __future__ import annotations

import json
import socket
import stat
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fakes.memory_project import MemoryProject
from rows import each_row

from techsapo_ops.apply.history import SERVICES, apply_journal
from techsapo_ops.backup.create import create_backup
from techsapo_ops.backup.recover.journal import Asked, Recovering, RecoveryJournal
from techsapo_ops.drills.failover import hindrance
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.journal import (
    REPLACE,
    START,
    Journal,
    Operation,
    Replaced,
    half_done,
    half_restored,
    interrupted,
    restore_journal,
)
from techsapo_ops.stack.layout import Layout

REPLACED = Replaced("20260131T020000Z", ("redis",), ("app",), {"redis": {"day": 3}})


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / ".techsapo", tmp_path / ".techsapo/generated")


def test_it_says_who_began_it_when_on_which_host_and_how_far_it_is(layout: Layout) -> None:
    before = datetime.now(UTC)
    journal = restore_journal(layout)
    journal.begin(REPLACED, REPLACE)
    journal.done("redis", 1.23456)
    journal.reach(START, apps=("app-1",))
    entry = restore_journal(layout).read()
    assert entry == journal.entry
    assert (entry.facts, entry.step, entry.done) == (
        replace(REPLACED, apps=("app-1",)), START, {"redis": 1.235},
    )  # fmt: skip
    assert before <= entry.began <= datetime.now(UTC)
    assert (entry.host, entry.elsewhere) == (socket.gethostname(), "")
    assert entry.who["user"]
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(journal.path.parent.stat().st_mode) == 0o700
    journal.end()
    assert interrupted(layout) is None
    assert not journal.path.parent.exists(), "a folder of root's would keep out whoever comes next"


def test_each_change_is_on_disk_before_the_call_returns(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = restore_journal(layout)
    changes: list[Callable[[], None]] = [
        lambda: journal.begin(REPLACED),
        lambda: journal.reach(REPLACE),
        lambda: journal.done("redis", 1.0),
        lambda: journal.note(apps=()),
    ]
    for change in changes:
        change()
        assert restore_journal(layout).read() == journal.entry

    def full(*_: object) -> None:
        raise OpsError("no space left", "")

    monkeypatch.setattr("techsapo_ops.stack.journal.write_atomic", full)
    known = journal.entry
    with pytest.raises(OpsError, match="no space left"):
        journal.reach(START)
    assert journal.entry == known == restore_journal(layout).read()


DAMAGES: Mapping[str, Callable[[dict[str, Any]], object]] = {
    "no object": lambda _: [],
    "another version": lambda entry: {**entry, "version": 2},
    "no facts": lambda entry: {**entry, "facts": {}},
    "a number for a name": lambda entry: {**entry, "facts": {**entry["facts"], "backup": 7}},
    "no time": lambda entry: {**entry, "began": "yesterday"},
}


@each_row("damage", DAMAGES)
def test_an_entry_that_is_damaged_names_the_file_and_the_way_out(tmp_path: Path, damage: str) -> None:
    journal = RecoveryJournal(tmp_path)
    facts = Recovering(Asked("/away", settings=("app.port=1",)), "1" * 64, "x", remaining=(("a", "b"),))
    journal.begin(facts, "up")
    entry = journal.read()
    assert entry.facts == facts
    journal.path.write_text(json.dumps(DAMAGES[damage](json.loads(journal.path.read_text()))))
    with pytest.raises(OpsError, match=r"recovery\.json is damaged") as damaged:
        journal.read()
    assert "the backup repository still has everything" in (damaged.value.hint or "")
    assert "--abandon" not in (damaged.value.hint or ""), "which reads it, too"
    assert list(half_done(Layout(tmp_path, tmp_path))) == [Operation.RECOVERY], "nobody knows what it left"


def begun(layout: Layout, operation: Operation, project: MemoryProject) -> None:
    """What a kill -9 leaves in the midst of it."""
    if operation is Operation.RESTORE:
        restore_journal(layout).begin(REPLACED, REPLACE)
    elif operation is Operation.RECOVERY:
        RecoveryJournal(layout.state).begin(Recovering(Asked("/away"), "1" * 64, "x"), "up")
    else:
        entry = replace(project.ledger.entries()[-1], id=2, files=(), steps=())
        apply_journal(layout).begin(entry, SERVICES)


@each_row("operation", list(Operation))
def test_which_commands_wait_for_the_end_of_it(tmp_path: Path, operation: Operation) -> None:
    folder = tmp_path / operation
    folder.mkdir()
    project = MemoryProject(folder)
    project.up()
    stack = project.stack()
    begun(stack.layout, operation, project)
    assert list(half_done(stack.layout)) == [operation]
    assert f" on {socket.gethostname()}, 20" in half_done(stack.layout)[operation]
    refused = {
        "drill": bool(hindrance(stack)),
        "backup": _refuses(lambda: create_backup(stack, only=("redis",)), "interrupted|recovered"),
        "rollback": _refuses(lambda: project.rollback("@1"), "interrupted halfway"),
    }
    assert refused == {
        "drill": True,
        "backup": operation is not Operation.APPLY,
        "rollback": operation is Operation.RESTORE,
    }


def _refuses(command: Callable[[], object], words: str) -> bool:
    try:
        command()
    except OpsError as error:
        if any(word in error.message for word in words.split("|")):
            return True
    return False


def test_once_the_data_is_whole_nothing_waits(layout: Layout) -> None:
    journal: Journal[Replaced] = restore_journal(layout)
    journal.begin(REPLACED, REPLACE)
    assert half_restored(layout)
    journal.reach(START)
    assert (half_done(layout), half_restored(layout)) == ({}, False)
