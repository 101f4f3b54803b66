"""`techsapo keys`, on one host and on several; tests/lab/app/test_keys_lab.py has what the keys open."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from in_process import techsapo
from rows import each_row
from typer.testing import CliRunner

from techsapo_ops.cli.app import keys as keys_command
from techsapo_ops.cli.main import app
from techsapo_ops.errors import OpsError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "techsapo.yaml").write_text("project: x\n", encoding="utf-8")
    return tmp_path


def keys(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return techsapo(folder, "keys", *arguments)


@each_row(
    "limit",
    [
        ("--expires", "0s"),
        ("--expires", "soon"),
        ("--monthly-usd", "inf"),
        ("--daily-usd", "nan"),
        ("--daily-usd", "1e300"),
        ("--per-minute", "99999999999999999999"),
    ],
)
def test_a_limit_that_the_app_can_not_keep_makes_no_key(folder: Path, limit: tuple[str, str]) -> None:
    done = keys(folder, "create", "ci", *limit)
    assert done.returncode == 2
    assert limit[0] in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(keys(folder, "list", "--json").stdout) == []


def test_a_key_is_listed_with_each_scope_once_and_the_minute_in_which_it_expires(folder: Path) -> None:
    scopes = ("--scope", "ask", "--scope", "monitor", "--scope", "ask")
    done = keys(folder, "create", "日本語", "--expires", "90d", *scopes, "--json")
    made = json.loads(done.stdout)
    assert made["scopes"] == ["ask", "monitor"]
    listed = keys(folder, "list").stdout
    assert made["expires"][:16].replace("T", " ") in listed
    assert made["key"] not in listed


def test_a_rotation_shows_the_new_key_once_and_lists_when_the_old_one_ends(folder: Path) -> None:
    keys(folder, "create", "ci", "--plan", "standard")
    done = keys(folder, "rotate", "ci", "--json")
    told = json.loads(done.stdout)
    assert told["plan"] == "standard"
    assert told["key"].startswith(f"tsk_{told['id']}_")
    (ending,) = told["ending"]
    assert ending["replaced_by"] == told["id"]
    assert "digest" not in done.stdout
    old, new = json.loads(keys(folder, "list", "--json").stdout)
    assert (old["state"], new["state"]) == ("active", "active")
    end = datetime.fromisoformat(old["expires"])
    assert timedelta(hours=23) < end - datetime.now(UTC) <= timedelta(hours=24)
    listed = keys(folder, "list").stdout
    assert f"{end:%Y-%m-%d %H:%M}" in listed
    assert told["key"] not in listed


def test_a_rotation_without_an_overlap_ends_the_old_key_at_once(folder: Path) -> None:
    keys(folder, "create", "ci")
    done = keys(folder, "rotate", "ci", "--overlap", "0")
    assert done.returncode == 0
    assert "is revoked" in done.stderr
    assert [k["state"] for k in json.loads(keys(folder, "list", "--json").stdout)] == ["revoked", "active"]


def test_an_overlap_that_is_none_rotates_nothing(folder: Path) -> None:
    keys(folder, "create", "ci")
    for overlap in ("soon", "-1h", "99999999999999y", "99999999999d"):
        done = keys(folder, "rotate", "ci", f"--overlap={overlap}")
        assert done.returncode == 2, overlap
        assert "--overlap" in done.stderr
        assert "C int" not in done.stderr
    assert len(json.loads(keys(folder, "list", "--json").stdout)) == 1


def test_two_rotations_at_once_make_two_successors_one_after_the_other(folder: Path) -> None:
    first = json.loads(keys(folder, "create", "ci", "--json").stdout)["id"]
    argv = [sys.executable, "-m", "techsapo_ops", "keys", "rotate", "ci", "--json"]
    both = [subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=folder) for _ in range(2)]
    told = [json.loads(process.communicate(timeout=60)[0]) for process in both]
    listed = {k["id"]: k["replaced_by"] for k in json.loads(keys(folder, "list", "--json").stdout)}
    assert set(listed) == {first, *(t["id"] for t in told)}
    chain = [first]
    while (by := listed[chain[-1]]) is not None:
        chain.append(by)
    assert sorted(chain) == sorted(listed)


@each_row("call", ["os.fsync", "os.replace"])
def test_a_rotation_that_is_killed_on_its_way_leaves_the_keys_from_before_or_all_of_it(
    folder: Path, call: str
) -> None:
    (folder / ".techsapo/api-keys/keys.json").unlink(missing_ok=True)
    first = json.loads(keys(folder, "create", "ci", "--json").stdout)["id"]
    program = (
        f"import os, signal, sys\nfrom techsapo_ops.cli.main import main\n"
        f"{call} = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.argv = ['techsapo', 'keys', 'rotate', 'ci']\nmain()\n"
    )
    subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=folder, check=False)
    there = json.loads(keys(folder, "list", "--json").stdout)
    assert there[0]["id"] == first
    assert there[0]["state"] == "active"
    assert (len(there) == 1) == (there[0]["replaced_by"] is None)
    assert keys(folder, "rotate", "ci").returncode == 0


def test_on_a_stack_that_asks_for_no_keys_it_is_said_that_a_key_opens_nothing(folder: Path) -> None:
    create = ("create", "ci", "--scope", "monitor", "--expires", "90d")
    for environment, said in (((), True), (("-e", "production"), False)):
        assert ("This stack does not ask for keys yet" in keys(folder, *create, *environment).stderr) is said
    (folder / "techsapo.yaml").write_text("project: x\napp: {auth: {required: true}}\n", encoding="utf-8")
    done = keys(folder, *create)
    assert done.returncode == 0
    assert "This stack does not ask for keys yet" not in done.stderr


def test_a_key_is_revoked_where_the_link_that_the_spec_names_leads(folder: Path) -> None:
    (folder / "techsapo.yaml").write_text("project: x\napp: {auth: {keys_file: link.json}}\n")
    (folder / "conf").mkdir()
    (folder / "link.json").symlink_to("conf/keys.json")
    assert keys(folder, "create", "ci").returncode == 0
    assert keys(folder, "revoke", "ci").returncode == 0
    assert (folder / "link.json").is_symlink()
    (only,) = json.loads((folder / "conf" / "keys.json").read_text())["keys"]
    assert only["revoked"]
    assert not (folder / "link.lock").exists(), "a restore has its lock where the file is"


HOSTS = {n: {"address": f"10.0.0.{i}", "docker": f"ssh://ops@{n}"} for i, n in enumerate("abc", 1)}
SPEC = {"project": "shop", "engine": "swarm", "mysql": {}, "hosts": HOSTS}


@pytest.fixture
def done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done, in a folder with such a stack."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "techsapo.yaml").write_text(yaml.safe_dump(SPEC))
    found: list[str] = []

    @contextmanager
    def among_hosts(*_: object) -> Iterator[None]:
        found.append("alone on all hosts")
        yield
        found.append("shared")

    def deliver() -> dict[str, str]:
        kept = json.loads((tmp_path / ".techsapo/api-keys/keys.json").read_text())["keys"]
        found.append(f"delivered {' '.join(each['name'] for each in kept)}")
        return {"c": "timed out"} if (tmp_path / "c-is-away").exists() else {}

    monkeypatch.setattr(keys_command, "among_hosts", among_hosts)
    monkeypatch.setattr(
        keys_command, "open_stack", lambda _: SimpleNamespace(engine=SimpleNamespace(deliver=deliver))
    )
    return found


def test_a_key_is_at_every_host_before_it_is_shown(done: list[str]) -> None:
    for words, kept in (
        (["create", "ci"], "ci"),
        (["rotate", "ci"], "ci ci"),
        (["revoke", "ci", "--all"], "ci ci"),
    ):
        done.clear()
        assert CliRunner().invoke(app, ["keys", *words]).exit_code == 0
        assert done == ["alone on all hosts", f"delivered {kept}", "shared"]


def test_what_is_refused_reaches_nobody(done: list[str]) -> None:
    assert CliRunner().invoke(app, ["keys", "revoke", "nobody"]).exit_code != 0
    assert done == ["alone on all hosts"]


def test_nothing_is_changed_while_another_host_is_at_work(
    done: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def busy(*_: object) -> Iterator[int]:
        raise OpsError("techsapo is at work on b")
        yield

    monkeypatch.setattr(keys_command, "among_hosts", busy)
    assert CliRunner().invoke(app, ["keys", "create", "ci"]).exit_code == 1
    assert done == []
    assert not list((tmp_path / ".techsapo").rglob("keys.json"))


def test_a_host_that_still_takes_a_revoked_key_once_it_is_back_is_said(
    done: list[str], tmp_path: Path
) -> None:
    CliRunner().invoke(app, ["keys", "create", "ci"])
    (tmp_path / "c-is-away").touch()
    revoked = CliRunner().invoke(app, ["keys", "revoke", "ci"])
    assert revoked.exit_code == 0
    assert "this change did not reach c (timed out)" in " ".join(revoked.stderr.split())
