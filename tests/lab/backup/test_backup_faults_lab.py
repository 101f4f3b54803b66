"""Faults while a backup is made: each is said, and leaves nothing that looks like a backup."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from backup_lab import Root, copy_of, keys, killed, left_behind
from fakes.open_stacks import with_backup
from projects import Project, another_user, only_redis, project
from rows import each_row
from servers import wait_for

from techsapo_ops.backup.create import create_backup
from techsapo_ops.backup.prune import prune_backups
from techsapo_ops.backup.repository.create import Watch, create
from techsapo_ops.backup.repository.folder import MANIFEST, Backup, repository_of
from techsapo_ops.backup.repository.manifest import Manifest
from techsapo_ops.backup.verify import verify_backup
from techsapo_ops.errors import OpsError
from techsapo_ops.services.mysql import contents
from techsapo_ops.services.mysql import dump as mysql
from techsapo_ops.services.mysql.session import Session, administrator
from techsapo_ops.services.redis.backup import RedisSource
from techsapo_ops.services.redis.client import redis_door
from techsapo_ops.stack.backup import Source
from techsapo_ops.stack.stack import Stack

pytestmark = pytest.mark.lab

NOBODY = 65534
DRAFT = Manifest.draft("lab", "native")


def failing(stack: Stack, source: Any, match: str) -> OpsError:
    """Make a backup of one source that must fail and leave nothing."""
    before = [b.id for b in repository_of(stack).backups()]
    with repository_of(stack).lock(), pytest.raises(OpsError, match=match) as caught:
        create(repository_of(stack), DRAFT, (source,), lambda: datetime.now(UTC))
    assert [b.id for b in repository_of(stack).backups()] == before
    assert left_behind(stack) == []
    return caught.value


@each_row(
    "script, match",
    [
        ("exit 0", "mariadb-dump wrote nothing"),
        ('"$real" "$@" | head -n 40; exit 0', "output of mariadb-dump is incomplete"),
        ('"$real" "$@" | head -c 3000; kill -9 $$', "was killed by SIGKILL|failed with code"),
    ],
)
def test_a_dump_that_writes_nothing_or_breaks_off_is_no_backup(
    script: str, match: str, backup: Backup, stack: Stack, tmp_path: Path
) -> None:
    fake = tmp_path / "mariadb-dump"
    fake.write_text(f"#!/bin/sh\nreal={shutil.which('mariadb-dump')}\n{script}\n")
    fake.chmod(0o755)
    for folder in (tmp_path, tmp_path.parent):
        folder.chmod(0o755)
    door = administrator(stack)

    def enter(command: Any) -> Any:
        argv = (str(fake) if command.argv[0] == "mariadb-dump" else command.argv[0], *command.argv[1:])
        return replace(command, argv=argv)

    failing(stack, mysql.MysqlSource(replace(door, enter=enter), "techsapo_audit"), match)


def test_a_locked_table_is_said_and_the_writers_go_on(backup: Backup, stack: Stack, lab: Project) -> None:
    with Root(lab) as sql:
        sql.execute("LOCK TABLES notes WRITE")
        source = mysql.MysqlSource(administrator(stack), "techsapo_audit", stall=0.5)
        began = time.monotonic()
        error = failing(stack, source, "mysql: (the dump has waited|MariaDB is locked)")
        assert time.monotonic() - began < 60
        assert "SHOW PROCESSLIST" in error.hint
    with Root(lab) as sql:
        sql.execute("INSERT INTO notes (text) VALUES ('after the lock')")
        sql.execute("DELETE FROM notes WHERE text = 'after the lock'")


def test_a_migration_during_the_dump_makes_it_begin_anew(
    backup: Backup, stack: Stack, lab: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect = contents.collect
    calls = []

    def migrating(asking: Session, database: str) -> dict[str, Any]:
        calls.append(database)
        if len(calls) == 1:
            with Root(lab) as sql:
                sql.execute("CREATE TABLE late (id INT PRIMARY KEY)")
        return collect(asking, database)

    monkeypatch.setattr(contents, "collect", migrating)
    made = create_backup(stack, only=("mysql",)).backup
    part = made.read().part("mysql")
    assert part is not None
    assert len(calls) == 2
    assert part.facts["tables"]["late"]["rows"] == 0
    assert part.facts["exact"] is True
    assert verify_backup(stack, made.id).ok
    repository_of(stack).remove(made)
    with Root(lab) as sql:
        sql.execute("DROP TABLE late")


@each_row("kind", ["redis", "mysql"])
def test_a_server_killed_mid_dump_leaves_no_backup(
    kind: str, backup: Backup, stack: Stack, lab: Project
) -> None:
    before = [b.id for b in repository_of(stack).backups()]
    pid = lab.pids()[kind]
    assert pid is not None
    source: Source
    if kind == "redis":
        keys(lab).mset({f"bulk{n}": os.urandom(1_000_000) for n in range(40)})
        source = RedisSource(redis_door(stack))
    else:
        with Root(lab) as sql:
            sql.execute("CREATE TABLE bulk AS SELECT REPEAT(UUID(), 9) AS text FROM seq_1_to_100000")
        source = mysql.MysqlSource(administrator(stack), "techsapo_audit")
    seen: list[int] = []

    class Killer(Watch):
        def progress(self, _: str, count: int) -> None:
            seen.append(count)
            if len(seen) == 2:
                os.kill(pid, signal.SIGKILL)

    with repository_of(stack).lock(), pytest.raises(OpsError) as caught:
        create(repository_of(stack), DRAFT, (source,), lambda: datetime.now(UTC), Killer())
    assert 0 < seen[-1] < 30_000_000
    assert caught.value.hint
    assert [b.id for b in repository_of(stack).backups()] == before
    assert left_behind(stack) == []
    wait_for(lambda: lab.pids()[kind] not in {None, pid}, what=f"a new {kind}")
    lab.run("restart", kind)
    if kind == "redis":
        keys(lab).delete(*(f"bulk{n}" for n in range(40)))
    else:
        with Root(lab) as sql:
            sql.execute("DROP TABLE bulk")


def test_a_full_disk_is_said_and_nothing_is_kept(backup: Backup, stack: Stack, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounts a file system of 64 KB: needs root")
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], check=True)
    try:
        section = stack.spec.backup.model_copy(update={"path": str(place)})
        small = with_backup(stack, section)
        with pytest.raises(OpsError, match=r"cannot write .*No space left") as caught:
            create_backup(small)
        assert "the disk is full" in caught.value.hint
        assert repository_of(small).backups() == ()
        assert left_behind(small) == []
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_user_who_may_not_write_the_repository_is_told_and_changes_nothing(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("becomes another user: needs root")
    with project(only_redis(backup={"path": "保管 庫"})) as made:
        made.run("backup", "--only", "config")
        place = made.directory / "保管 庫"
        before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
        figures = made.layout.textfiles / "backups.prom"
        told = figures.read_text()
        for path in (made.directory, made.directory / "techsapo.yaml", made.state, *made.state.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        made.launcher = another_user(NOBODY)
        for words in (("backup",), ("backup", "--only", "config"), ("backup", "verify"), ("backup", "prune")):
            said = made.run(*words, code=1).stderr
            assert f"cannot write {place}: Permission denied" in said
            assert "try: run it as root: `sudo " in said
        assert "Permission denied" in made.run("jobs", "run", "verify", code=1).stderr
        assert 'last_exit_code{name="verify"} 1' in (made.layout.textfiles / "verify.prom").read_text()
        assert len(json.loads(made.run("backup", "list", "--json").stdout)) == 1
        made.write(backup={"path": str(tmp_path / "of root" / "backups")})
        tmp_path.chmod(0o755)
        (tmp_path / "of root").mkdir()
        assert "backups: Permission denied" in made.run("backup", code=1).stderr
        assert list((tmp_path / "of root").iterdir()) == []
        assert {path: path.read_bytes() for path in place.rglob("*") if path.is_file()} == before
        assert figures.read_text() == told


def test_a_clock_set_back_keeps_the_order_and_is_said(backup: Backup, stack: Stack, tmp_path: Path) -> None:
    copied, _ = copy_of(backup, stack, tmp_path)
    past = datetime.now(UTC) - timedelta(days=400)
    made = create_backup(copied, only=("config",), now=lambda: past)
    assert "was the clock set back?" in " ".join(made.warnings)
    assert repository_of(copied).find("latest").id == made.backup.id
    assert [b.id for b in repository_of(copied).backups()] == [backup.id, made.backup.id]
    assert all(v.keep for v in prune_backups(copied).verdicts)


PHASES = {
    "a dump": "event == 'open' and 'audit-' in name and '.partial' in name",
    "the manifest": f"event == 'os.rename' and {MANIFEST!r} in name",
}
"""By the phase of a backup, the event at which it is killed."""


@each_row("phase", PHASES)
def test_a_tool_killed_in_any_phase_leaves_nothing_that_looks_like_a_backup(
    phase: str, backup: Backup, stack: Stack, lab: Project
) -> None:
    before = [b.id for b in repository_of(stack).backups()]
    killed(lab, PHASES[phase], "backup")
    assert [b.id for b in repository_of(stack).backups()] == before
    assert left_behind(stack) != []
    with Root(lab) as sql:  # nothing holds commits back
        sql.execute("INSERT INTO notes (text) VALUES ('x')")
        sql.execute("DELETE FROM notes WHERE text = 'x'")
    made = create_backup(stack, only=("config",))  # the next one tidies up
    assert left_behind(stack) == []
    repository_of(stack).remove(made.backup)


def test_a_tool_killed_while_it_prunes_leaves_no_half_of_a_backup(
    backup: Backup, stack: Stack, tmp_path: Path, lab: Project
) -> None:
    kept = lab.spec
    copied, _ = copy_of(backup, stack, tmp_path)
    for _ in range(2):
        create_backup(copied, only=("config",))
    known = [b.id for b in repository_of(copied).backups()]
    lab.write(
        backup={"path": str(repository_of(copied).path), "keep": {"daily": 1, "weekly": 0, "monthly": 0}}
    )
    try:
        killed(lab, "event == 'shutil.rmtree' and '.removed' in name", "backup", "prune")
        assert left_behind(copied) == [f"{known[1]}.removed"]
        assert [b.id for b in repository_of(copied).backups()] == [known[0], known[2]]
        assert json.loads(lab.run("backup", "verify", "--json").stdout)["id"] == known[2]
        lab.run("backup", "--only", "config")
    finally:
        lab.write(backup=kept["backup"])
    assert left_behind(copied) == []


def test_a_tool_killed_while_it_verifies_leaves_no_server_and_no_verdict(
    backup: Backup, stack: Stack, lab: Project
) -> None:
    checks = repository_of(stack).checks(backup)
    scratch = lab.state / "scratch"

    def servers() -> list[str]:
        lines = (" ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"]))
        return [line for line in lines if str(scratch) in line]

    process = lab.popen("backup", "verify", backup.id, "--deep")
    wait_for(lambda: any("mariadbd" in line for line in servers()), what="a throwaway MariaDB")
    process.kill()
    process.communicate()
    wait_for(lambda: servers() == [], what="the throwaway servers have ended")
    assert repository_of(stack).checks(backup) == checks
    assert list(scratch.iterdir()) != []
    assert json.loads(lab.run("backup", "verify", backup.id, "--deep", "--json").stdout)["ok"] is True
    assert list(scratch.iterdir()) == []
    lab.well()
