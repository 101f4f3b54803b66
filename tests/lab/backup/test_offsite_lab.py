"""Off-site copies by the real restic: to a folder, an sshd by SFTP, an S3 API, a REST server."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from projects import only_redis, project
from quick_key import quick_repository, quicken
from servers import binary, free_port, http_ok, running, tcp_open, wait_for

from techsapo_ops.adapters.packed import PackedReader
from techsapo_ops.backup.create import create_backup
from techsapo_ops.backup.repository.folder import repository_of
from techsapo_ops.cli.open_stack import open_stack
from techsapo_ops.cli.project import open_project
from techsapo_ops.errors import OpsError
from tests.recovery.places import PASSWORD, sftp

pytestmark = pytest.mark.lab

REST_PASSWORD = "canary: of/rest@"


def test_a_backup_is_copied_encrypted_with_the_secrets_and_comes_back(tmp_path: Path) -> None:
    place = tmp_path / "away 別の所"
    offsite = {"restic": str(place), "password": PASSWORD}
    with project(only_redis(backup={"offsite": offsite})) as made:
        (made.layout.keys).mkdir(parents=True)
        (made.layout.keys / "other-password").write_text("kept-away-secret")
        stack = open_stack(open_project(made.directory / "techsapo.yaml"))
        backup = create_backup(stack, only=("config",)).backup
        noted = repository_of(stack).checks(backup)["offsite"]
        assert noted["ok"] is True
        quicken(place, PASSWORD)
        environment = {**os.environ, "RESTIC_PASSWORD": PASSWORD}
        back = tmp_path / "back"
        restic = ["restic", "--no-cache", "-r", str(place)]
        subprocess.run(
            [*restic, "restore", noted["snapshot"], "--target", back, "-q"], env=environment, check=True
        )
        fetched = back / backup.folder.relative_to("/")
        assert {p.name: p.read_bytes() for p in fetched.iterdir()} == {
            p.name: p.read_bytes() for p in backup.folder.iterdir()
        }
        secret = back / (made.layout.keys / "other-password").relative_to("/")
        assert secret.read_text() == "kept-away-secret"
        stored = b"".join(p.read_bytes() for p in place.rglob("*") if p.is_file())
        assert b"kept-away-secret" not in stored
        key = json.loads((made.layout.backup_keys / "key.json").read_text())["key"].encode()
        part = backup.read().part("config")
        assert part is not None
        here = b"".join(p.read_bytes() for p in backup.folder.iterdir())
        assert key not in here + stored + b"".join(PackedReader(backup.folder / part.file))
        # The key is lost with the state directory: docs/backup.md, "Whose backup it is".
        shutil.rmtree(made.layout.backup_keys)
        said = made.run("backup", "--only", "config").stderr
        newest = repository_of(stack).checks(repository_of(stack).backups()[-1])["offsite"]["snapshot"]
        assert f"copied off-site as restic snapshot {newest}\n" in said
        assert "were authenticated with a key that is missing on this host" in said
        refused = made.run("restore", backup.id, "--only", "config", "--yes", code=1).stderr
        assert "its MAC was made with another key" in refused
        assert f"`techsapo backup accept {backup.id}`" in refused
        script = (
            f"restic --no-cache -q -r '{place}' restore latest --tag techsapo,{backup.id} "
            f"--include backup-keys --target '{tmp_path}/keys' && install -m 600 "
            f"\"$(find '{tmp_path}/keys' -path '*/backup-keys/key.json')\" .techsapo/backup-keys/before.json"
        )
        subprocess.run(["sh", "-c", script], cwd=made.directory, env=environment, check=True)
        shown = json.loads(made.run("backup", "list", "--json").stdout)
        assert [entry["authentication"] for entry in shown] == ["authenticated"] * 2
        made.write(backup={"offsite": {**offsite, "password": "another"}})
        said = made.run("backup", "--only", "config", code=1)
        assert "is complete on this host, but was not copied off-site" in said.stderr
        assert "backup.offsite.password" in said.stderr
        assert len(json.loads(made.run("backup", "list", "--json").stdout)) == 3


def test_copies_stay_until_the_spec_lets_prune_remove_them(tmp_path: Path) -> None:
    place = tmp_path / "away"
    offsite = {"restic": str(place), "password": PASSWORD}
    quick_repository(place, PASSWORD)
    keep = {"daily": 1, "weekly": 0, "monthly": 0}
    with project(only_redis(backup={"keep": keep, "offsite": offsite})) as made:
        for _ in range(3):
            made.run("backup", "--only", "config")
        made.run("backup", "prune")
        assert len(json.loads(made.run("backup", "list", "--json").stdout)) == 1
        assert len(list((place / "snapshots").iterdir())) == 3
        made.write(backup={"keep": keep, "offsite": {**offsite, "prune": True}})
        assert "offsite-prune" in made.run("validate").stderr
        said = made.run("backup", "prune", "--dry-run").stderr
        assert "off-site: would remove 2 of 3 copies" in said
        assert len(list((place / "snapshots").iterdir())) == 3
        made.run("backup", "prune")
        assert len(list((place / "snapshots").iterdir())) == 1
        made.run("backup", "--only", "config")


def test_what_a_killed_restic_has_locked_is_unlocked(tmp_path: Path) -> None:
    place = tmp_path / "away"
    quick_repository(place, PASSWORD)

    def locks() -> list[Path]:
        # What restic was still writing when it was killed is no lock yet.
        return [lock for lock in (place / "locks").iterdir() if "-tmp-" not in lock.name]

    with project(only_redis(backup={"offsite": {"restic": str(place), "password": PASSWORD}})) as made:
        made.run("backup", "--only", "config")
        reading = subprocess.Popen(
            ["restic", "--no-cache", "-r", place, "backup", "--stdin"],
            env={**os.environ, "RESTIC_PASSWORD": PASSWORD}, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_for(locks, what="restic's lock")
        finally:
            reading.kill()
            reading.communicate()
        assert locks() != []
        made.run("backup", "--only", "config")
        assert locks() == []


def test_it_goes_over_sftp_and_a_peer_that_is_down_is_said(tmp_path: Path) -> None:
    with (
        sftp(tmp_path / "sshd", "127.0.0.1") as away,
        project(only_redis(backup={"offsite": away.offsite})) as made,
    ):
        stack = open_stack(open_project(made.directory / "techsapo.yaml"))
        backup = create_backup(stack, only=("config",)).backup
        assert repository_of(stack).checks(backup)["offsite"]["ok"] is True
        assert list((tmp_path / "sshd" / "away" / "snapshots").iterdir())
        made.write(backup={"offsite": {**away.offsite, "restic": f"sftp://127.0.0.1:{free_port()}/x"}})
        stack = open_stack(open_project(made.directory / "techsapo.yaml"))
        with pytest.raises(OpsError, match="not copied off-site"):
            create_backup(stack, only=("config",))
        assert len(repository_of(stack).backups()) == 2


STAND_IN = """#!{python}
import http.server, sqlite3, sys

class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()

sql = sqlite3.connect("grafana.db")
sql.execute("CREATE TABLE IF NOT EXISTS starts (at TEXT)")  # it migrates, and writes whenever it starts
sql.execute("INSERT INTO starts VALUES ('now')")
sql.commit()
http.server.HTTPServer(("127.0.0.1", {port}), Answers).serve_forever()
"""


def test_grafanas_password_hashes_go_off_site_alone_and_come_back_from_there_by_name(tmp_path: Path) -> None:
    """Grafana itself is not to be had here: a program stands in for it that answers its probe on the file."""
    port = free_port()
    stand_in = tmp_path / "bin" / "grafana-server"
    stand_in.parent.mkdir()
    stand_in.write_text(STAND_IN.format(python=sys.executable, port=port))
    stand_in.chmod(0o755)
    spec = only_redis(schedule={"by": "none"})
    spec["monitoring"]["grafana"] = {"port": port}
    with project(spec) as made:
        made.environment["PATH"] = f"{stand_in.parent}:{os.environ['PATH']}"
        data = made.state / "data" / "grafana"
        data.mkdir(parents=True)

        def sql(statement: str) -> list[object]:
            link = sqlite3.connect(data / "grafana.db", timeout=60)
            with link:
                found = [row[0] for row in link.execute(statement)]
            link.close()
            return found

        sql("CREATE TABLE user (id INTEGER PRIMARY KEY, login TEXT, password TEXT)")
        sql("INSERT INTO user (login, password) VALUES ('admin', 'hash-of-a-password')")
        said = made.run("backup", "--only", "grafana", code=1).stderr
        assert "it holds password hashes" in said
        assert "backup.offsite" in said
        quick_repository(tmp_path / "away", PASSWORD)
        made.write(backup={"offsite": {"restic": str(tmp_path / "away"), "password": PASSWORD}})
        made.run("up")
        kept = json.loads(made.run("backup", "--only", "config", "--json").stdout)["id"]
        sql("DELETE FROM user")
        sql("INSERT INTO user (login, password) VALUES ('later', 'another-hash')")

        assert "holds no data to restore" in made.run("restore", kept, "--yes", code=1).stderr
        done = made.run("restore", kept, "--only", "grafana", "--yes")
        assert sql("SELECT login FROM user") == ["admin"]
        assert len(sql("SELECT at FROM starts")) == 2, "it was started on the file that came back"
        assert http_ok(f"http://127.0.0.1:{port}/api/health")
        safety = json.loads(made.run("backup", "list", "--json").stdout)[-1]
        assert (safety["tag"], safety["checks"]["offsite"]["ok"]) == ("before-restore", True)
        assert f"`techsapo restore {safety['id']} --only grafana` undoes this restore" in done.stderr

        assert sorted(p.name for p in data.iterdir()) == [".techsapo-data", "grafana.db"]
        assert [p.name for p in made.state.iterdir() if p.name.startswith("offsite")] == []
        here = b"".join(p.read_bytes() for p in (made.state / "backups").rglob("*") if p.is_file())
        assert b"-hash" not in here


@pytest.fixture
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an S3 API that asks for no rights."""
    port = free_port()
    argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(argv, tmp_path_factory.mktemp("s3"), port, lambda: tcp_open(port)):
        yield port


def test_it_goes_to_s3_with_the_login_of_dotenv_as_a_job_of_cron_has_it(s3: int, tmp_path: Path) -> None:
    place = f"s3:http://127.0.0.1:{s3}/backups/techsapo"
    offsite = {
        "restic": place,
        "password": PASSWORD,
        "environment": {name: f"${{{name}}}" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
    }
    bare = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    login = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "canary-of-s3"}
    with project(only_redis(backup={"offsite": offsite})) as made:
        dotenv = made.directory / ".env"
        dotenv.write_text("".join(f"{name}={value}\n" for name, value in login.items()))

        def backup(code: int) -> subprocess.CompletedProcess[str]:
            done = subprocess.run(
                made.argv("backup", "--only", "config", "--json"),
                cwd=made.directory, env=bare, capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
            assert done.returncode == code, done.stdout + done.stderr
            return done

        backup(0)  # makes the bucket and the repository
        found = json.loads(backup(0).stdout)
        assert found["checks"]["offsite"]["ok"] is True
        back = tmp_path / "back"
        subprocess.run(
            ["restic", "--no-cache", "-r", place, "restore", "latest", "--target", back, "-q"],
            env={**bare, **login, "RESTIC_PASSWORD": PASSWORD}, check=True, timeout=120,
        )  # fmt: skip
        folder = Path(found["folder"])
        assert (back / folder.relative_to("/") / "manifest.json").read_bytes() == (
            folder / "manifest.json"
        ).read_bytes()
        assert b"canary-of-s3" in (back / dotenv.relative_to("/")).read_bytes()
        kept = b"".join(p.read_bytes() for p in folder.parent.rglob("*") if p.is_file())
        assert b"canary-of-s3" not in kept


@contextmanager
def rest(folder: Path, port: int) -> Iterator[None]:
    """restic's own REST server, which lets `me` alone in, and nobody remove anything."""
    folder.mkdir()
    digest = base64.b64encode(hashlib.sha1(REST_PASSWORD.encode()).digest()).decode()  # noqa: S324 - its format
    (folder / ".htpasswd").write_text(f"me:{{SHA}}{digest}\n")
    argv = [
        binary("restic-rest-server"), "--path", str(folder), "--listen", f"127.0.0.1:{port}",
        "--private-repos", "--append-only",
    ]  # fmt: skip
    with running(argv, folder, port, lambda: tcp_open(port)):
        yield


def test_it_goes_to_a_rest_server_with_its_login_from_a_file_and_a_wrong_one_is_said(tmp_path: Path) -> None:
    port = free_port()
    offsite = {
        "restic": f"rest:http://127.0.0.1:{port}/me/techsapo",
        "password": PASSWORD,
        "environment": {"RESTIC_REST_USERNAME": "me", "RESTIC_REST_PASSWORD_file": "rest-password"},
    }
    with rest(tmp_path / "rest", port), project(only_redis(backup={"offsite": offsite})) as made:
        (made.directory / "rest-password").write_text(REST_PASSWORD)
        made.run("backup", "--only", "config")
        quicken(tmp_path / "rest/me/techsapo", PASSWORD)
        found = json.loads(made.run("backup", "--only", "config", "--json").stdout)
        assert found["checks"]["offsite"]["ok"] is True
        assert REST_PASSWORD not in made.run("config", "show").stdout
        words = ("recover", "--into", str(tmp_path / "new"), "--dry-run", "--from")
        made.environment |= {"RESTIC_PASSWORD": PASSWORD, "RESTIC_REST_PASSWORD": REST_PASSWORD}
        named = offsite["restic"].replace("://", "://me@")
        assert "every copy has only part" in made.run(*words, named, code=1).stderr  # so it let us in
        made.environment["RESTIC_REST_USERNAME"] = "me"
        assert "every copy has only part" in made.run(*words, offsite["restic"], code=1).stderr
        assert not (tmp_path / "new").exists()
        made.environment.clear()
        (made.directory / "rest-password").write_text("another")
        said = made.run("backup", "--only", "config", code=1).stderr
        assert "is complete on this host, but was not copied off-site: restic" in said
        assert "401 Unauthorized" in said
        assert "another" not in said
