"""Restores of rows and keys into the running stack, and every fault on the way."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from backup_lab import ROWS, Root, copy_of, forged, keys, signed, stack_of
from projects import Project, kill_all
from rows import each_row
from servers import next_second, wait_for
from terminal import typed

from techsapo_ops.adapters.packed import PackedReader
from techsapo_ops.backup.create import create_backup
from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.repository.folder import Backup, repository_of
from techsapo_ops.backup.restore import run as restore
from techsapo_ops.backup.restore.intent import intend
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.observed import State
from techsapo_ops.stack.stack import Stack

pytestmark = pytest.mark.lab


def test_a_backup_of_a_newer_server_is_refused(backup: Backup, stack: Stack, tmp_path: Path) -> None:
    copied, folder = copy_of(backup, stack, tmp_path)
    manifest = backup.read()
    parts = tuple(
        replace(p, server="MariaDB 99.1" if p.kind == "mysql" else p.server) for p in manifest.parts
    )
    signed(stack, folder, replace(manifest, parts=parts))
    with pytest.raises(OpsError, match=r"MariaDB 99\.1, but the running MariaDB 11\.\S+ is older"):
        intend(copied, backup.id)


def test_restore_brings_back_rows_and_keys_also_with_an_append_only_file(
    lab: Project, backup: Backup, stack: Stack
) -> None:
    count = keys(lab).dbsize()
    assert count > 0
    keys(lab).flushall()
    keys(lab).set("new", 1)
    with Root(lab) as sql:
        sql.execute("DELETE FROM notes")
    refused = lab.run("restore", backup.id, code=1)
    assert "nothing was changed" in refused.stderr
    done = json.loads(lab.run("restore", backup.id, "--yes", "--json").stdout)
    assert keys(lab).dbsize() == len(list(keys(lab).scan_iter()))
    assert keys(lab).get("k7") == b"7"
    assert keys(lab).exists("new") == 0
    assert keys(lab).config_get("appendonly") == {"appendonly": "yes"}
    with Root(lab) as sql:
        sql.execute("SELECT COUNT(*) FROM notes")
        assert sql.fetchone() == (ROWS,)
    lab.run("restart", "redis")
    assert keys(lab).get("k7") == b"7"
    lab.well()
    safety = repository_of(stack).find(done["safety"])
    assert safety.read().tag == "before-restore"
    assert repository_of(stack).find("latest").id != safety.id


def test_a_restore_that_a_power_cut_ended_is_taken_back_by_up_before_the_app_answers(
    lab: Project, backup: Backup
) -> None:
    """Also where Redis does not start with what was left: it does with what is brought back."""
    spoil(lab)
    before = state(lab)
    process, _ = begun(lab, backup, "restoring mysql")
    process.kill()
    process.communicate()
    kill_all(lab)
    for file in (lab.layout.data / "redis" / "appendonlydir").glob("*"):
        file.write_bytes(b"not what Redis wrote")
    said = lab.run("up").stderr
    assert "a restore was interrupted; undoing it" in said
    assert "waiting for app" not in said.partition("undoing it")[0], "it would have answered from half of it"
    assert not (lab.state / "journal/restore.json").exists()
    assert state(lab) == before
    lab.well()


def state(lab: Project) -> tuple[object, ...]:
    """What a restore could have changed."""
    with Root(lab) as sql:
        sql.execute("CHECKSUM TABLE notes")
        checksum = sql.fetchone()
    values = {key: keys(lab).get(key) for key in (b"k7", b"mine")}
    return (checksum, keys(lab).dbsize(), values)


def begun(lab: Project, backup: Backup, phase: str) -> tuple[subprocess.Popen[str], str]:
    """A restore that has come as far as `phase`, and what it has said."""
    process = lab.popen("restore", backup.id, "--yes")
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if line.startswith(phase):
            break
    return process, said


def spoil(lab: Project) -> None:
    """Data of its own, which the backup has not."""
    keys(lab).set("mine", "kept")
    keys(lab).delete("k7")
    with Root(lab) as sql:
        sql.execute("INSERT INTO notes (text) VALUES ('mine')")


PHASES = ("stopping app", "backing up the current data", "restoring redis", "restoring mysql", "starting app")
KINDS = ("backing up the current data", "restoring mysql")
"""Where nothing is to be put back, and where something is."""


@pytest.mark.nightly
@each_row("phase", PHASES)
def test_ctrl_c_in_each_phase_leaves_or_puts_back_what_was_there(
    phase: str, lab: Project, backup: Backup
) -> None:
    interrupted_in(phase, lab, backup)


@each_row("phase", KINDS)
def test_ctrl_c_in_any_phase_leaves_or_puts_back_what_was_there(
    phase: str, lab: Project, backup: Backup
) -> None:
    interrupted_in(phase, lab, backup)


def interrupted_in(phase: str, lab: Project, backup: Backup) -> None:
    """Press Ctrl-C in that phase, and see that everything is as it was."""
    spoil(lab)
    before = state(lab)
    process, said = begun(lab, backup, phase)
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=90)
    assert process.returncode == 130, said + rest
    assert ("undoing it" in rest) == (phase.split()[0] in {"restoring", "starting"}), rest
    assert state(lab) == before
    assert not (lab.state / "journal/restore.json").exists()
    wait_for(lambda: {s.state for s in lab.services().values()} == {State.RUNNING}, what="everything runs")


def test_the_screen_lists_what_will_be_replaced_and_no_changes_nothing(lab: Project, backup: Backup) -> None:
    before = state(lab)
    known = len(repository_of(stack_of(lab)).backups())
    code, screen = typed(lab, "restore", backup.id, ask="replace the present data?", answer="n\n")
    assert code == 1
    lines = " ".join(screen.split())
    manifest = backup.read()
    assert f"backup {backup.id}, begun {manifest.started.astimezone():%Y-%m-%d %H:%M:%S}" in lines
    there = keys(lab).dbsize() + 1  # one is in another database
    part = manifest.part("redis")
    assert part is not None
    assert f"redis {there:,} keys → {registry.describe(part)}" in lines
    assert re.search(r"mysql [\d,]+ rows in \d+ tables → [\d,]+ rows in \d+ tables", lines)
    assert "not restored: config is restored only on request: --only config" in lines
    assert "services stopped during the restore: app, redis" in lines
    assert "is backed up first, and restored if anything fails" in lines
    assert "nothing was changed" in lines
    assert state(lab) == before
    assert len(repository_of(stack_of(lab)).backups()) == known


def test_a_moment_between_two_writes_is_brought_back_by_the_binlog(
    lab: Project, backup: Backup, tmp_path: Path
) -> None:
    lab.run("stop", "app")  # from here on: its start is the most of a restore, and proves nothing more
    stack = stack_of(lab)
    base = create_backup(stack, only=("mysql",)).backup
    with Root(lab) as sql:
        sql.execute("SELECT COUNT(*) FROM notes")
        (known,) = sql.fetchone()
        next_second()
        sql.execute("INSERT INTO notes (text) VALUES ('wanted')")
        moment = next_second()
        next_second()
        sql.execute("DELETE FROM notes")
    intent = intend(stack, "latest", (), moment)
    assert intent.backup.id == base.id
    restore.perform(stack, intent)
    with Root(lab) as sql:
        sql.execute("SELECT COUNT(*), SUM(text = 'wanted') FROM notes")
        assert sql.fetchone() == (known + 1, 1)
    with pytest.raises(OpsError, match="in the future"):
        restore.perform(stack, intend(stack, base.id, (), datetime.now(UTC) + timedelta(days=1)))


def test_a_restore_that_fails_goes_back_by_itself(lab: Project, backup: Backup, tmp_path: Path) -> None:
    part = backup.read().part("mysql")
    assert part is not None
    whole = b"".join(PackedReader(backup.folder / part.file))
    broken = whole.replace(b"-- Dump completed", b"DELETE FROM notes LIMIT 1;\n-- Dump completed")
    copied = forged(backup, stack_of(lab), tmp_path, "mysql", broken)
    with Root(lab) as sql:
        sql.execute("INSERT INTO notes (text) VALUES ('precious')")
    intent = intend(copied, backup.id, ("mysql",))
    with pytest.raises(OpsError, match=r"was not restored correctly[\s\S]*was undone"):
        restore.perform(copied, intent)
    with Root(lab) as sql:
        sql.execute("SELECT COUNT(*) FROM notes WHERE text = 'precious'")
        assert sql.fetchone() == (1,)


def test_a_second_ctrl_c_while_going_back_is_made_good_by_the_next_restore(
    lab: Project, backup: Backup
) -> None:
    spoil(lab)
    before = state(lab)
    process = lab.popen("restore", backup.id, "--yes")
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(("restoring mysql", "the restore failed; undoing it")):
            process.send_signal(signal.SIGINT)
        if line.startswith("the restore failed"):
            break
    process.communicate(timeout=90)
    assert process.returncode == 130
    assert (lab.state / "journal/restore.json").exists()
    assert "a restore was interrupted; undoing it" in lab.run("restore", backup.id, code=1).stderr
    assert state(lab) == before
    assert not (lab.state / "journal/restore.json").exists()
