"""A stack whose data is backed up, and ways to spoil copies of its backups."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pymysql
import redis
import warm
from fakes.open_stacks import with_backup
from projects import Project, only_redis, project
from servers import free_port

from techsapo_ops.adapters.packed import PackedWriter, file_sha256
from techsapo_ops.backup.repository.folder import MANIFEST, SUMS, Backup, repository_of, sums_of
from techsapo_ops.backup.repository.manifest import Manifest
from techsapo_ops.backup.repository.origin import MAC
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.project import open_project
from techsapo_ops.stack.stack import Stack

PASSWORD = 'it\'s "hard" \\ 鍵'
ROWS = 3000


@contextmanager
def full_lab(**sections: Any) -> Iterator[Project]:
    """Redis, MariaDB and the app with something of every kind in them, on paths with blanks and Japanese."""
    spec = only_redis(
        mysql={"port": free_port()},
        redis={"port": free_port(), "password": PASSWORD, "appendonly": True},
        backup={"path": "保管 庫/日 々"},
        schedule={"by": "none"},
        **sections,
    )
    with project(spec) as made:
        made.run("up")
        with Root(made) as sql:
            sql.execute("CREATE TABLE notes (id INT PRIMARY KEY AUTO_INCREMENT, text VARCHAR(200), raw BLOB)")
            sql.execute(
                f"INSERT INTO notes (text, raw) SELECT UUID(), UNHEX(MD5(RAND())) FROM seq_1_to_{ROWS}"
            )
            sql.execute(
                "CREATE TRIGGER trimmed BEFORE INSERT ON notes FOR EACH ROW SET NEW.text = TRIM(NEW.text)"
            )
            sql.execute("CREATE VIEW latest AS SELECT MAX(id) AS id FROM notes")
            sql.execute("CREATE PROCEDURE nothing() SELECT 1")
        client = keys(made)
        client.mset({f"k{n}": n for n in range(500)})
        client.hset("hash", mapping={"b": 1, "a": "値"})
        client.sadd("set", *range(300))
        client.rpush("list", 1, 2, 3)
        client.zadd("zset", {"x": 1.5, "y": 2})
        client.xadd("stream", {"f": 1})
        client.set(b"\xff\x00binary", b"\x00\xff")
        client.set("fleeting", 1, px=400)
        other = redis.Redis(port=made.spec["redis"]["port"], password=PASSWORD, db=3)
        other.set("in-three", 1, ex=1000)
        yield made


class Root:
    """A cursor as the database's root, committing at once."""

    def __init__(self, made: Project) -> None:
        password = (made.layout.keys / "mysql-root-password").read_text()
        self.connection = pymysql.connect(
            host="127.0.0.1", port=made.spec["mysql"]["port"], user="root", password=password,
            database="techsapo_audit", autocommit=True,
        )  # fmt: skip

    def __enter__(self) -> Any:
        return self.connection.cursor()

    def __exit__(self, *_: object) -> None:
        self.connection.close()


def keys(made: Project) -> redis.Redis:
    return redis.Redis(port=made.spec["redis"]["port"], password=PASSWORD)


def stack_of(made: Project) -> Stack:
    return open_stack(open_project(made.directory / "techsapo.yaml"))


def backed_up(made: Project) -> Backup:
    """A backup of everything, by the command line."""
    found = json.loads(made.run("backup", "--json").stdout)
    return repository_of(stack_of(made)).find(found["id"])


def killed(made: Project, where: str, *words: str) -> None:
    """Run `techsapo …` and kill it with SIGKILL at the first audit event of Python's that `where` is true of.

    `where` is an expression of `event` and of `name`, the event's first argument.
    """
    code = (
        "import os, signal, sys\n"
        "def watch(event, args):\n"
        "    name = str(args[0]) if args else ''\n"
        f"    if {where}:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.addaudithook(watch)\n"
        f"sys.argv = {['techsapo', *words]!r}\n"
        "from techsapo_ops.cli.main import main\nmain()\n"
    )
    done = warm.run([sys.executable, "-c", code], cwd=made.directory)
    assert done.returncode == -signal.SIGKILL, done.stderr


def copy_of(backup: Backup, stack: Stack, tmp_path: Path) -> tuple[Stack, Path]:
    """A stack with a repository of its own that holds a copy of `backup`, to be damaged."""
    place = tmp_path / "copy 写し"
    shutil.copytree(backup.folder, place / backup.id)
    changed = stack.spec.backup.model_copy(update={"path": str(place)})
    return with_backup(stack, changed), place / backup.id


def left_behind(stack: Stack) -> list[str]:
    return [p.name for p in repository_of(stack).path.iterdir() if p.name.endswith((".partial", ".removed"))]


def forged(backup: Backup, stack: Stack, tmp_path: Path, kind: str, content: bytes) -> Stack:
    """A copy with another content of one part, all digests and the MAC made to fit."""
    copied, folder = copy_of(backup, stack, tmp_path)
    manifest = backup.read()
    part = manifest.part(kind)
    assert part is not None
    (folder / part.file).unlink()
    with PackedWriter(folder / part.file) as file:
        file.write(content)
    fitting = replace(part, sha256=file.sha256, bytes=file.bytes, raw_bytes=file.raw_bytes)
    parts = tuple(fitting if p.kind == kind else p for p in manifest.parts)
    signed(stack, folder, replace(manifest, parts=parts))
    return copied


def signed(stack: Stack, folder: Path, manifest: Manifest) -> None:
    """Give a copy of a backup another manifest, with digests and a MAC that fit."""
    text = manifest.text().encode()
    (folder / MANIFEST).write_bytes(text)
    assert repository_of(stack).keyring is not None
    (folder / MAC).write_bytes(repository_of(stack).keyring.mac(text))
    (folder / SUMS).write_text(sums_of(manifest, file_sha256(folder / MANIFEST)))
