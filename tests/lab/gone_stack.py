"""A small stack that is gone, but for its off-site repository and its recovery card; and an empty host."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backup_lab import PASSWORD as REDIS_PASSWORD
from orchestrator import QUICK
from projects import Project, kill_all, only_redis, project
from quick_key import quick_repository
from redis import Redis
from servers import free_port, wait_for

PASSWORD = 'the "repository\'s" own'
MARK = "# ours, and back"


@dataclass(frozen=True)
class Gone:
    """A stack that is gone: its repository, the folder that it was in, and what it held."""

    repository: Path
    directory: Path
    spec: dict[str, Any]
    backup: str
    facts: dict[str, Any]
    card: str


def asked(made: Project) -> list[Any]:
    """Its questions in the audit log."""
    with closing(sqlite3.connect(next((made.state / "data").rglob("audit.sqlite")))) as audit:
        return audit.execute("SELECT id, prompt_hash FROM audit_requests ORDER BY id").fetchall()


def facts(made: Project) -> dict[str, Any]:
    """What has to be the same before and after."""
    with Redis(port=made.spec["redis"]["port"], password=REDIS_PASSWORD, decode_responses=True) as redis:
        kept = redis.get("kept")
    state = made.state
    questions = asked(made)
    assert questions
    return {
        "redis": kept,
        "questions": questions,
        "certificate": (state / "certs/shop/privkey.pem").read_bytes(),
        "api keys": (state / "api-keys/keys.json").read_bytes(),
        "backup key": (state / "backup-keys/key.json").read_bytes(),
        "passwords": {p.name: p.read_bytes() for p in (state / "keys").iterdir() if p.name.endswith("-key")},
        "templates": MARK in (state / "generated/redis/redis.conf").read_text(),
        "overlay": "33554432" in (state / "generated/redis/redis.conf").read_text(),
        "dotenv": (made.directory / ".env").read_text(),
    }


def lost(top: Path) -> Gone:
    """A stack with something of every kind; only its repository and its recovery card are left."""
    repository, outside = top / "away 別の所", top / "etc"
    outside.mkdir()
    quick_repository(repository, PASSWORD)
    spec = only_redis(
        providers=QUICK,
        redis={"port": free_port(), "password": REDIS_PASSWORD},
        backup={
            "offsite": {
                "restic": str(repository),
                "password_file": str(outside / "restic"),
                "password_kept": "safe in room 3",
            }
        },
        certificates={"shop": {"source": "self-signed", "names": ["shop.test"]}},
        schedule={"by": "none"},
        contacts=["Kimura"],
        environments={"lab": {"redis": {"maxmemory": "32M"}}},
    )
    (outside / "restic").write_text(PASSWORD)
    (outside / "restic").chmod(0o600)
    with project(spec, name="old") as made:
        template = (
            f'{{% extends "builtin/redis/redis.conf.j2" %}}{{% block extra %}}{MARK}\n{{% endblock %}}\n'
        )
        made.override("redis/redis.conf.j2", template)
        (made.directory / ".env").write_text("OWN=1\n")
        made.run("up", "-e", "lab")
        made.run("keys", "create", "me", "-e", "lab")
        made.run("ask", "なぜ?", "-e", "lab")
        wait_for(lambda: bool(asked(made)), what="the question in the audit log")
        with Redis(port=spec["redis"]["port"], password=REDIS_PASSWORD) as redis:
            redis.set("kept", "価値")
        found = json.loads(made.run("backup", "-e", "lab", "--json").stdout)
        made.run("backup", "--only", "config", "-e", "lab")
        before = facts(made)
        card = made.run("recover", "card", "--lang", "en", "-e", "lab").stdout
        spec = made.spec
    shutil.rmtree(outside)
    return Gone(repository, made.directory, spec, found["id"], before, card)


@contextmanager
def empty_host(gone: Gone) -> Iterator[Project]:
    """A folder with nothing in it; what runs out of it is gone at the end."""
    top = Path(tempfile.mkdtemp(prefix="techsapo-lab-"))
    top.chmod(0o755)
    made = Project.__new__(Project)
    made.directory, made.spec = top / "new", gone.spec
    made.environment, made.launcher, made.python = {"RESTIC_PASSWORD": PASSWORD}, (), sys.executable
    made.directory.mkdir()
    try:
        yield made
    finally:
        kill_all(made)
        shutil.rmtree(top)
        shutil.rmtree(gone.repository.parent / "etc", ignore_errors=True)
