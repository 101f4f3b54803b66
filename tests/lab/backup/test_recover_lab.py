"""`techsapo recover`: a small stack is gone, and comes back from its off-site repository alone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import warm
import yaml
from backup_lab import PASSWORD as REDIS_PASSWORD
from projects import Project, another_user, kill_all, only_redis, project
from redis import Redis
from servers import free_port, running, tcp_open, wait_for

from techsapo_ops.cli.views.recovery import TITLES
from techsapo_ops.operations.recover.journal import STEPS, Desk

pytestmark = pytest.mark.lab

PASSWORD = 'the "repository\'s" own'
NOBODY = 65534
OWN_CRONTAB = (
    "unshare", "--mount", "sh", "-c",
    'mount -t tmpfs none /var/spool/cron/crontabs && "$@" && crontab -l', "sh",
)  # fmt: skip
"""What starts a command with a crontab of its own, and prints that after it."""
FAULT = Path(__file__).parents[1] / "fault_recover.py"
MARK = "# ours, and back"


@dataclass(frozen=True)
class Gone:
    """A stack that is gone: its repository, the folder that it was in, and what it held."""

    repository: Path
    directory: Path
    spec: dict[str, Any]
    backup: str
    facts: dict[str, Any]


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


@pytest.fixture(scope="module")
def gone(tmp_path_factory: pytest.TempPathFactory) -> Gone:
    """A stack with something of every kind; only its repository and a file outside of its folder are left."""
    top = tmp_path_factory.mktemp("recover")
    repository, outside = top / "away 別の所", top / "etc"
    outside.mkdir()
    spec = only_redis(
        redis={"port": free_port(), "password": REDIS_PASSWORD},
        backup={"offsite": {"restic": str(repository), "password_file": str(outside / "restic")}},
        certificates={"shop": {"source": "self-signed", "names": ["shop.test"]}},
        schedule={"by": "none"},
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
        old_copy(made, found["id"], top / "away-of-before")
        spec = made.spec
    shutil.rmtree(outside)
    return Gone(repository, made.directory, spec, found["id"], before)


def old_copy(made: Project, backup: str, repository: Path) -> None:
    """A copy as a version before 0.2 made it: some paths, and not a word on what they are."""
    state = made.state
    paths = [
        state / "backups" / backup, made.directory / "techsapo.yaml", made.directory / ".env", state / "keys",
        state / "backup-keys", state / "certs/shop/privkey.pem", repository.parent / "etc/restic",
    ]  # fmt: skip
    restic = ["restic", "--no-cache", "-q", "-r", repository]
    environment = {**os.environ, "RESTIC_PASSWORD": PASSWORD}
    subprocess.run([*restic, "init"], env=environment, check=True, stdout=subprocess.DEVNULL)
    tags = ("--tag", "techsapo", "--tag", backup)
    subprocess.run([*restic, "backup", *tags, *paths], env=environment, check=True)


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


def recover(host: Project, gone: Gone, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    return host.run("recover", "--from", str(gone.repository), *words, code=code, timeout=180)


def test_all_of_it_comes_back_with_its_facts_and_its_times(gone: Gone) -> None:
    with empty_host(gone) as host:
        looked = json.loads(recover(host, gone, "--dry-run", "--json").stdout)
        assert looked["backup"] == gone.backup  # not the later one, of the configuration alone
        assert [part["kind"] for part in looked["parts"]] == ["redis", "sqlite:app"]
        assert {"what": "folder", "then": str(gone.directory), "now": str(host.directory)} in looked[
            "differs"
        ]
        assert looked["blockers"] == []
        assert any("nothing starts it after a reboot" in note for note in looked["notes"])
        assert any("two stacks write into the same repository" in note for note in looked["notes"])
        assert list(host.directory.iterdir()) == []
        refused = recover(host, gone, code=1).stderr
        assert "nothing was placed" in refused
        assert [p.name for p in host.directory.iterdir()] == [".techsapo"]
        done = json.loads(recover(host, gone, "--yes", "--json").stdout)
        assert tuple(done["seconds"]) == STEPS
        assert (done["status"], done["remaining"]) == ("healthy", [])
        assert done["data_seconds"] < done["whole_seconds"]
        assert facts(host) == gone.facts
        outside = gone.repository.parent / "etc/restic"
        assert (outside.read_text(), outside.stat().st_mode & 0o777) == (PASSWORD, 0o600)
        assert not (host.state / "recovery").exists()
        shown = host.run("backup", "list", "--json", "-e", "lab").stdout
        assert [each["authentication"] for each in json.loads(shown)] == ["authenticated"]
        told = json.loads(host.run("audit", "show", "--json").stdout)
        assert any(each["action"] == "recover" and each["outcome"] == "done" for each in told)
        assert json.loads(host.run("audit", "verify", "--json").stdout)["ok"] is True
        again = recover(host, gone, "--yes", code=1).stderr
        assert "has a stack already" in again
        host.run("backup", "-e", "lab")


POINTS = ("fetching", "fetch", "placing", "moving", "place", "up", "restoring", *STEPS[3:])


def test_killed_at_every_step_the_same_command_goes_on_where_it_was(gone: Gone) -> None:
    with empty_host(gone) as host:
        argv = ("recover", "--from", str(gone.repository))
        placing = POINTS.index("placing")
        for number, point in enumerate(POINTS):
            agreed = ("--yes",) if number <= placing else ()  # from there on nobody is asked again
            killed = warm.run(
                [sys.executable, FAULT, point, *argv, *agreed],
                {**os.environ, **host.environment}, cwd=host.directory, text=True, timeout=180,
            )  # fmt: skip
            assert killed.returncode == -signal.SIGKILL, (point, killed.stdout, killed.stderr)
            if point == "fetch":
                other = recover(host, gone, "--at", "2001-01-01", "--yes", code=1).stderr
                assert "is under way with --at left out, not 2001" in other
                assert "nothing was placed" in recover(host, gone, code=1).stderr  # it is asked again
            if point == "placing":
                other = recover(host, gone, "--set", "redis.maxmemory=1G", code=1).stderr
                assert "nothing more was placed" in other  # to that nobody has agreed
            if point == "up":
                assert "is being recovered" in host.run("backup", "-e", "lab", code=1).stderr
                other = recover(host, gone, "--set", "redis.maxmemory=1G", "--yes", code=1).stderr
                assert "its spec is placed already" in other
        done = json.loads(recover(host, gone, "--json").stdout)
        assert tuple(done["seconds"]) == STEPS
        assert facts(host) == gone.facts


def test_ctrl_c_says_where_it_was_and_the_same_command_goes_on_from_there(gone: Gone) -> None:
    with empty_host(gone) as host:
        argv = ("recover", "--from", str(gone.repository))

        def interrupted(point: str, *words: str) -> str:
            done = warm.run(
                [sys.executable, FAULT, f"int:{point}", *argv, *words],
                {**os.environ, **host.environment}, cwd=host.directory, text=True, timeout=180,
            )  # fmt: skip
            assert done.returncode == 130, (point, done.stdout, done.stderr)
            assert "Traceback" not in done.stderr
            assert "techsapo rollback" not in done.stderr, "an apply of its own can't be undone by that"
            return str(done.stderr).splitlines()[-1]

        assert "nothing was placed" in interrupted("fetching", "--dry-run")
        assert list(host.directory.iterdir()) == []
        for point, step in (
            ("fetching", "fetch"), ("moving", "place"), ("starting", "up"), ("restoring", "restore"),
            ("schedule", "health"),
        ):  # fmt: skip
            said = interrupted(point, "--yes")
            assert f"interrupted at: {TITLES[step]}; the same command goes on there" in said, point
            assert "techsapo recover --abandon" in said
        done = json.loads(recover(host, gone, "--yes", "--json").stdout)
        assert tuple(done["seconds"]) == STEPS
        assert facts(host) == gone.facts


def test_given_up_half_way_it_takes_away_what_it_made_and_nothing_else(gone: Gone) -> None:
    with empty_host(gone) as host:
        (host.directory / "mine.txt").write_text("mine")
        argv = ("recover", "--from", str(gone.repository), "--yes")
        killed = warm.run(
            [sys.executable, FAULT, "up", *argv],
            {**os.environ, **host.environment}, cwd=host.directory, text=True, timeout=180,
        )  # fmt: skip
        assert killed.returncode == -signal.SIGKILL
        assert "nothing was removed" in host.run("recover", "--abandon", code=1).stderr
        host.run("recover", "--abandon", "--yes")
        host.assert_gone()
        assert [p.name for p in host.directory.iterdir()] == ["mine.txt"]
        assert not (gone.repository.parent / "etc").exists()
        assert "no recovery is under way" in host.run("recover", "--abandon", "--yes", code=1).stderr


def test_a_taken_port_is_said_before_anything_is_placed_others_are_set_and_anothers_file_stays(
    gone: Gone,
) -> None:
    port, outside = gone.spec["app"]["port"], gone.repository.parent / "etc"
    with empty_host(gone) as host:
        argv = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
        with running(argv, host.directory.parent, port, lambda: tcp_open(port)):
            refused = recover(host, gone, "--yes", code=1).stderr
            assert f"port {port}: wanted by app, taken by" in refused
            assert not (host.directory / "techsapo.yaml").exists()
            other = free_port()
            outside.mkdir()
            (outside / "restic").write_text("another's")
            host.launcher = OWN_CRONTAB
            words = ("--set", f"app.port={other}", "--set", "schedule.by=cron", "--yes")
            done = recover(host, gone, *words)
            host.launcher = ()
            assert "whole service back" in done.stdout
            assert f"jobs run backup --file {host.directory}/techsapo.yaml" in done.stdout  # the crontab
            spec = yaml.safe_load((host.directory / "techsapo.yaml").read_text())
            assert spec["app"]["port"] == other
            assert (outside / "restic").read_text() == "another's"
            assert (host.directory / "recovered/restic").read_text() == PASSWORD
            assert spec["backup"]["offsite"]["password_file"] == "recovered/restic"
            assert facts(host) == gone.facts


def test_a_stack_that_is_there_is_never_overwritten(gone: Gone) -> None:
    with empty_host(gone) as host:
        (host.directory / "techsapo.yaml").write_text("project: other\n")
        assert "has a stack already" in recover(host, gone, "--yes", code=1).stderr
        host.run("recover", "--abandon", "--yes")
        assert (host.directory / "techsapo.yaml").read_text() == "project: other\n"
        assert [p.name for p in host.directory.iterdir()] == ["techsapo.yaml"]


def test_a_copy_of_before_that_does_not_describe_itself_comes_back_with_what_it_has(gone: Gone) -> None:
    with empty_host(gone) as host:
        repository = str(gone.repository.parent / "away-of-before")
        argv = ("recover", "--from", repository, "-e", "lab")
        looked = json.loads(host.run(*argv, "--dry-run", "--json").stdout)
        assert looked["described"] is False
        assert any("is of before 0.2" in note for note in looked["notes"])
        words = (*argv, "--set", "app.drain=1s", "--yes", "--json")
        done = json.loads(host.run(*words, timeout=180).stdout)
        assert done["status"] == "healthy"
        back = facts(host)
        assert back.pop("certificate") != gone.facts["certificate"]  # issued again
        assert back == {name: value for name, value in gone.facts.items() if name != "certificate"}
        spec = yaml.safe_load((host.directory / "techsapo.yaml").read_text())
        assert spec["app"]["drain"] == "1s"


def test_who_may_only_read_the_repository_looks_too_and_is_told_what_they_can_not_write(gone: Gone) -> None:
    with empty_host(gone) as host:
        os.chown(host.directory, NOBODY, NOBODY)
        host.launcher = another_user(NOBODY)
        host.environment["HOME"] = str(host.directory)
        looked = json.loads(recover(host, gone, "--dry-run", "--json").stdout)
        (secret,) = [each for each in looked["files"] if each["what"] == "secret"]
        assert secret["target"] == str(host.directory / "recovered/restic")
        assert "can't be written by this user" in secret["why"]
        assert [each["now"] for each in looked["differs"] if each["what"] == "user"] == ["nobody"]


def test_a_planted_link_a_full_disk_and_a_second_recovery_are_said_and_lose_nothing(
    gone: Gone, tmp_path: Path
) -> None:
    with empty_host(gone) as host:
        mine = tmp_path / "mine"
        mine.mkdir()
        (host.directory / "template-overrides").symlink_to(mine)
        said = recover(host, gone, "--yes", code=1).stderr
        assert "template-overrides is there already, and nothing is overwritten" in said
        assert list(mine.iterdir()) == []
        (host.directory / "template-overrides").unlink()
        with Desk(host.state).lock():
            assert "is at work on this recovery" in recover(host, gone, "--yes", code=1).stderr
        small = host.directory / "small"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M,mode=755", "tmpfs", small], check=True)
        try:
            said = recover(host, gone, "--into", str(small), "--yes", code=1).stderr
            assert "small has " in said
            assert "nothing was fetched" in said
        finally:
            subprocess.run(["umount", small], check=True)


def test_an_older_server_of_this_host_is_said_before_anything_is_placed(gone: Gone, tmp_path: Path) -> None:
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64'\n")
    old.chmod(0o755)
    with empty_host(gone) as host:
        host.environment["PATH"] = f"{tmp_path}:{os.environ['PATH']}"
        said = recover(host, gone, "--dry-run", code=1).stderr
        assert "redis was backed up from Redis " in said
        assert "Redis 6.0.16 of this host is older" in said
        assert f"update redis-server ({old}); or --without redis" in said
        recover(host, gone, "--dry-run", "--without", "redis")
        assert list(host.directory.iterdir()) == []


def test_what_can_not_be_done_is_said_in_words_and_leaves_nothing(gone: Gone, tmp_path: Path) -> None:
    with empty_host(gone) as host:

        def refused(*words: str, code: int = 1) -> str:
            said = host.run("recover", "--yes", *words, code=code).stderr
            assert list(host.directory.iterdir()) == []
            return said

        there = str(gone.repository)
        deeper = str(host.directory / "not/there")
        assert "there is no repository" in refused("--from", str(tmp_path / "none"), "--into", deeper)
        assert "there is no copy from then or before" in refused("--from", there, "--at", "2001-01-01")
        assert "no copy of shop" in refused("--from", there, "--project", "shop")
        assert "is not a time" in refused("--from", there, "--at", "noon", code=2)
        assert "is not a time" in refused("--from", there, "--at", "9999-12-31T23:59:59-12:00", code=2)
        assert "there is no `=`" in refused("--from", str(tmp_path / "none"), "--set", "app.port", code=2)
        assert "--from is missing" in refused(code=2)
        host.environment = {"RESTIC_PASSWORD": "wrong"}
        assert "the password is not the repository's" in refused("--from", there)
        host.environment = {"RESTIC_PASSWORD": ""}
        assert "password is missing" in refused("--from", there, code=2)
        host.environment = {"RESTIC_PASSWORD": PASSWORD}
        cut = shutil.copytree(gone.repository, tmp_path / "cut")
        newest, *others = sorted((cut / "snapshots").iterdir(), key=lambda p: p.stat().st_mtime_ns)[::-1]
        newest.chmod(0o600)
        os.truncate(newest, 100)
        said = host.run("recover", "--from", str(cut), "--dry-run").stderr
        assert f"1 of the repository's copies can't be read ({newest.name[:8]})" in said
        for each in others:
            each.unlink()
        assert f"no copy in it can be read ({newest.name[:8]})" in refused("--from", str(cut))
        half = shutil.copytree(gone.repository, tmp_path / "half")
        for pack in (p for p in (half / "data").rglob("*") if p.is_file()):
            pack.unlink()
        said = host.run("recover", "--from", str(half), "--into", deeper, "--yes", code=1).stderr
        assert "the repository is half there" in said
        assert "no such file or directory" in said
        host.run("recover", "--abandon", "--into", deeper, "--yes")
        assert list(host.directory.iterdir()) == []
