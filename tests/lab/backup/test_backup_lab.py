"""Backups of a running Redis and MariaDB: what they hold, and damage that is found."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import servers
from backup_lab import PASSWORD, ROWS, Root, copy_of, forged, full_lab, keys, stack_of
from fakes.open_stacks import with_backup
from projects import Project

from techsapo_ops.adapters.packed import PackedReader
from techsapo_ops.backup.create import create_backup
from techsapo_ops.backup.repository.folder import MANIFEST, Backup
from techsapo_ops.backup.restore.intent import intend
from techsapo_ops.backup.verify import verify_backup
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.stack import Stack

pytestmark = pytest.mark.lab


OBJECTS = (
    "CREATE SEQUENCE numbers START WITH 7",
    "CREATE PROCEDURE tidy(IN days INT) DELETE FROM notes WHERE id < days",
    "CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC RETURN 2 * n",
    "CREATE FUNCTION thrice(n INT) RETURNS INT DETERMINISTIC RETURN 3 * n",
    "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2031-01-01 03:00:00' DO CALL tidy(30)",
    # Whoever loads this after its time does not find it again, and the backup is none the worse for it.
    "CREATE EVENT soon ON SCHEDULE AT NOW() + INTERVAL 1 SECOND DO SELECT 1",
)


@pytest.fixture(scope="module")
def lab() -> Iterator[Project]:
    """With a certificate too, and with more objects that the operator has made in MariaDB."""
    with full_lab(certificates={"site": {"names": ["techsapo.example.com"]}}) as made:
        with Root(made) as sql:
            for statement in OBJECTS:
                sql.execute(statement)
        yield made


def content(backup: Backup) -> bytes:
    """The dump of MariaDB."""
    part = backup.read().part("mysql")
    assert part is not None
    return b"".join(PackedReader(backup.folder / part.file))


def test_no_secret_and_no_private_key_is_in_any_plain_backup(
    lab: Project, backup: Backup, stack: Stack, tmp_path: Path
) -> None:
    part = backup.read().part("config")
    assert part is not None
    plain = b"".join(PackedReader(backup.folder / part.file))
    secrets = [p.read_bytes().strip() for p in lab.layout.keys.glob("*-password")]
    secrets += [PASSWORD.encode(), b'it\'s \\"hard\\"', b"it''s", b"PRIVATE KEY"]
    assert [s for s in secrets if s in plain] == []
    names = part.facts["files"]
    assert "techsapo.yaml" in names
    assert [n for n in names if n.startswith("certs/site/") and n.endswith("/fullchain.pem")]
    left_out = part.facts["left_out"]
    assert [n for n in left_out if n.startswith("certs/site/") and n.endswith("/privkey.pem")]
    (tmp_path / "extra.txt").write_text(f"token: {secrets[0].decode()}")
    (tmp_path / "fine.txt").write_text("harmless")
    section = stack.spec.backup.model_copy(update={"paths": (str(tmp_path),), "path": str(tmp_path / "r")})
    changed = with_backup(stack, section)
    made = create_backup(changed, only=("config",))
    assert any("extra.txt was left out: it holds a secret" in w for w in made.warnings)


def test_no_accounts_password_stands_in_the_binlog_and_rows_do(lab: Project) -> None:
    with Root(lab) as sql:
        sql.execute("INSERT INTO notes (text) VALUES ('kept in the binlog')")
        sql.execute("DELETE FROM notes WHERE text = 'kept in the binlog'")
        passwords = [p.read_text().strip() for p in lab.layout.keys.glob("mysql*-password")]
        assert len(passwords) > 1
        hashes = []
        for password in passwords:
            sql.execute("SELECT PASSWORD(%s)", (password,))
            hashes.append(str(sql.fetchone()[0]))  # type: ignore[index] # it answers
        sql.execute("SELECT @@log_bin_basename")
        base = Path(str(sql.fetchone()[0]))  # type: ignore[index]
    files = sorted(str(p) for p in base.parent.glob(f"{base.name}.0*[0-9]"))
    argv = [servers.binary("mariadb-binlog"), "--no-defaults", "--base64-output=decode-rows", "-vv", *files]
    told = subprocess.run(argv, check=True, capture_output=True, timeout=60).stdout
    raw = b"".join(Path(f).read_bytes() for f in files)
    assert b"kept in the binlog" in told
    assert b"IDENTIFIED" not in told
    assert [w for w in (*passwords, *hashes) if w.encode() in told + raw] == []


def test_temporary_tables_are_the_stacks_own_so_that_no_other_mariadb_removes_them(lab: Project) -> None:
    with Root(lab) as sql:
        sql.execute("SELECT @@tmpdir")
        folder = Path(str(sql.fetchone()[0]))  # type: ignore[index] # it answers
    assert folder == lab.layout.data / "mysql-tmp"
    assert folder.stat().st_uid == (lab.layout.data / "mysql").stat().st_uid


def test_the_ordinary_tools_restore_what_the_files_hold(backup: Backup, lab: Project, tmp_path: Path) -> None:
    """The commands of docs/backup.md."""
    for command in (
        "sha256sum -c SHA256SUMS",
        f"zstd -dc redis-*.rdb.zst > '{tmp_path}/dump.rdb' && redis-check-rdb '{tmp_path}/dump.rdb'",
        "zstd -dc audit-*.sql.zst | tail -n 1 | grep -- '-- Dump completed'",
        "zstd -dc config-*.tar.zst | tar -tf - | grep techsapo.yaml",
    ):
        done = subprocess.run(["sh", "-c", command], cwd=backup.folder, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    with servers.redis(tmp_path) as made:  # without an append-only file, then with one
        client = redis.Redis(port=made.port)
        assert (client.get("k7"), client.hget("hash", "a")) == (b"7", "値".encode())
        client.config_set("appendonly", "yes")
        waiting = ("aof_rewrite_in_progress", "aof_rewrite_scheduled")
        servers.wait_for(lambda: not any(client.info("persistence")[key] for key in waiting), what="its base")
    argv = ["redis-server", "--port", str(made.port), "--dir", str(tmp_path), "--appendonly", "yes"]
    with servers.running(argv, tmp_path, made.port, lambda: servers.tcp_open(made.port)):
        assert client.get("k7") == b"7"
    with stack_of(lab).engine.scratch("mysql") as made:
        assert made.password is not None
        environment = {**os.environ, "MYSQL_PWD": made.password.reveal()}
        client = f"mariadb --protocol=tcp -h 127.0.0.1 -P {made.address.port} -u root"
        script = f"{client} -e 'CREATE DATABASE byhand' && zstd -dc audit-*.sql.zst | {client} byhand"
        script += f" && {client} -N -e 'SELECT COUNT(*) FROM byhand.notes'"
        done = subprocess.run(
            ["sh", "-c", script], cwd=backup.folder, env=environment, capture_output=True, check=False
        )
        assert done.stdout.split() == [str(ROWS).encode()], done.stderr


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0x10
    file.write_bytes(data)


DAMAGES = {
    "flipped byte": (lambda d: flip(next(d.glob("redis-*"))), "has changed since it was written"),
    "truncated file": (
        lambda d: os.truncate(next(d.glob("audit-*")), 1000),
        "has changed since it was written",
    ),
    "missing file": (lambda d: next(d.glob("config-*")).unlink(), "is missing"),
    "manifest edited": (
        lambda d: (d / MANIFEST).write_text((d / MANIFEST).read_text().replace(str(ROWS), "1")),
        "the manifest does not match its MAC",
    ),
    "manifest no longer JSON": (lambda d: (d / MANIFEST).write_text("{"), "is damaged"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_and_such_a_backup_is_not_restored(
    name: str, backup: Backup, stack: Stack, tmp_path: Path, lab: Project
) -> None:
    copied, folder = copy_of(backup, stack, tmp_path)
    damage, sentence = DAMAGES[name]
    damage(folder)
    for deep in (False, True):
        found = verify_backup(copied, backup.id, deep=deep)
        assert not found.ok
        assert any(sentence in s for s in found.sentences), found.sentences
    assert (
        'last_verification_success{name="backups"} 0.0' in (lab.layout.textfiles / "backups.prom").read_text()
    )
    before = keys(lab).dbsize()
    with pytest.raises(OpsError, match=r"nothing was touched"):
        intend(copied, backup.id)
    assert keys(lab).dbsize() == before


def test_a_dump_cut_at_a_statement_boundary_is_found(backup: Backup, stack: Stack, tmp_path: Path) -> None:
    whole = content(backup)
    cut = whole[: whole.index(b"-- Table structure for table `notes`")]
    copied = forged(backup, stack, tmp_path, "mysql", cut)
    assert "mysql: the dump is incomplete" in " ".join(verify_backup(copied, backup.id).sentences)
    deep = verify_backup(copied, backup.id, deep=True)
    assert "mysql: table notes is missing" in deep.sentences


def test_a_dump_runs_no_command_and_reads_and_writes_no_file_elsewhere_on_trial(
    backup: Backup, stack: Stack, tmp_path: Path
) -> None:
    """The throwaway server runs as the user of the real one, whose data it could write."""
    whole = content(backup)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    elsewhere.chmod(0o777)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o055)  # by any user
    script = tmp_path / "touch"
    script.write_text(f"#!/bin/sh\n: > {elsewhere}/ran\n")
    script.chmod(0o755)
    lines = {
        "loaded": f"CREATE TABLE away (a INT) ENGINE=MyISAM DATA DIRECTORY='{elsewhere}';\n"
        "CREATE TABLE passwords AS SELECT LOAD_FILE('/etc/passwd') AS t;\n"
        "ALTER TABLE passwords ADD CHECK (t IS NULL);\n",
        "commands": f"\\! {script}\nsystem {script}\n",
        "refused": f"SELECT 1 INTO OUTFILE '{elsewhere}/out';\n",
    }
    for name, hostile in lines.items():
        copied = forged(backup, stack, tmp_path / name, "mysql", hostile.encode() + whole)
        found = verify_backup(copied, backup.id, deep=True)
        assert not list(elsewhere.iterdir()), name
        if name != "commands":
            assert not found.ok
            assert ("can't be loaded" in str(found.sentences)) is (name == "refused"), found.sentences


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
    lab: Project, backup: Backup, stack: Stack, tmp_path: Path
) -> None:
    servers.wait_for(lambda: not keys(lab).exists("fleeting"), what="the key that ends is gone")
    assert verify_backup(stack, backup.id, deep=True).ok
    less = whole = content(backup).decode()
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
