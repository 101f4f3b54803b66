"""The record of administration as an operator meets it: what is in it, and what `audit verify` finds."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "techsapo.yaml").write_text("project: x\n", encoding="utf-8")
    return tmp_path


def techsapo(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "techsapo_ops", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "TZ": "UTC", **environment},
    )


def record(folder: Path) -> Path:
    return folder / ".techsapo" / "administration" / "record.jsonl"


def shown(folder: Path) -> list[dict[str, Any]]:
    done = techsapo(folder, "audit", "show", "--json")
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def verified(folder: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    done = techsapo(folder, "audit", "verify", "--json", *arguments)
    assert done.returncode == code, done.stderr
    return dict(json.loads(done.stdout))


def test_what_is_done_to_keys_is_recorded_with_who_and_from_where_and_without_the_key(folder: Path) -> None:
    came = {"SSH_CONNECTION": "203.0.113.7 51234 192.0.2.1 22"}
    made = json.loads(techsapo(folder, "keys", "create", "ci", "--json", **came).stdout)
    turned = json.loads(techsapo(folder, "keys", "rotate", "ci", "--json", **came).stdout)
    techsapo(folder, "keys", "revoke", "ci", "--all", **came)
    assert techsapo(folder, "keys", "revoke", "nobody", **came).returncode == 2
    created, rotated, revoked, failed = shown(folder)
    assert [a["action"] for a in (created, rotated, revoked)] == ["keys create", "keys rotate", "keys revoke"]
    assert [a["outcome"] for a in (created, rotated, revoked, failed)] == ["done", "done", "done", "failed"]
    assert created["what"] == {"name": "ci", "plan": "basic", "expires": None, "key": made["id"]}
    (ending,) = turned["ending"]
    assert rotated["what"]["key"] == turned["id"]
    assert rotated["what"]["expiring"] == {made["id"]: ending["expires"]}
    assert revoked["what"]["revoked"] == [made["id"], turned["id"]]
    assert failed["what"]["why"] == "there is no active key 'nobody'"
    assert created["who"]["ssh"] == "203.0.113.7 51234"
    assert created["who"]["uid"] == os.getuid()
    text = record(folder).read_text()
    assert made["key"].split("_", 2)[2] not in text
    assert turned["key"].split("_", 2)[2] not in text
    told = techsapo(folder, "audit", "show", "-n", "2").stdout
    assert "203.0.113.7" in told
    assert "keys create" not in told


def test_a_name_with_a_terminal_s_escapes_is_not_shown_raw(folder: Path) -> None:
    techsapo(folder, "keys", "revoke", "\x1b[2Jnobody")
    assert "\x1b" not in techsapo(folder, "audit", "show").stdout


def test_nothing_recorded_yet_is_no_failure(folder: Path) -> None:
    assert shown(folder) == []
    assert verified(folder)["records"] == 0


def test_a_changed_record_is_found_with_its_line_and_ends_with_1(folder: Path) -> None:
    for name in ("one", "two"):
        techsapo(folder, "keys", "create", name)
    assert verified(folder)["ok"]
    path = record(folder)
    lines = path.read_text().splitlines(keepends=True)
    assert '"name":"one"' in lines[0]
    path.write_text("".join([lines[0].replace('"one"', '"won"'), *lines[1:]]))
    found = verified(folder, code=1)
    assert found["breaks"][0]["line"] == 1
    done = techsapo(folder, "audit", "verify")
    assert "record.jsonl:1: its MAC is wrong" in done.stdout
    assert "its MAC is wrong" in techsapo(folder, "audit", "show").stderr


def test_a_record_that_was_cut_or_written_anew_is_found_by_the_backups_that_know_it(folder: Path) -> None:
    techsapo(folder, "keys", "create", "one")
    done = techsapo(folder, "backup", "--only", "config", "--json")
    assert done.returncode == 0, done.stderr
    backup = json.loads(done.stdout)
    assert backup["administration"]["sequence"] == 2
    assert "administration" not in backup["left_out"]
    found = verified(folder)
    assert found["compared"] == [f"backup {backup['id']}"]
    path = record(folder)
    whole = path.read_text()
    path.write_text(whole.splitlines(keepends=True)[0])  # cut at the end of a line: the chain itself holds
    assert "knows record 2, which is not here" in verified(folder, code=1)["elsewhere"][0]
    path.unlink()
    techsapo(folder, "keys", "create", "another")  # written anew, with the very key
    found = verified(folder, code=1)
    assert found["breaks"] == []
    assert found["elsewhere"] == [f"backup {backup['id']} knows another record 2: the file was written anew"]
    path.write_text(whole)
    assert verified(folder)["ok"]


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (lambda manifest: manifest.write_text(manifest.read_text() + "\n"), "is tampered"),
        (lambda manifest: manifest.with_name("manifest.mac").unlink(), "is tampered"),
        (lambda manifest: manifest.write_text("{"), "is damaged"),
        (lambda manifest: manifest.unlink(), "is damaged"),
    ],
    ids=["a byte more", "no MAC", "cut", "gone"],
)
def test_a_backup_that_was_spoilt_so_that_it_can_not_contradict_is_named(
    folder: Path, spoil: Callable[[Path], object], word: str
) -> None:
    techsapo(folder, "keys", "create", "one")
    backup = json.loads(techsapo(folder, "backup", "--only", "config", "--json").stdout)["id"]
    (manifest,) = folder.rglob(f"{backup}/manifest.json")
    spoil(manifest)
    path = record(folder)
    path.write_text(path.read_text().splitlines(keepends=True)[0])
    found = verified(folder, code=1)
    assert (found["breaks"], found["compared"]) == ([], [])
    assert found["elsewhere"][0].startswith(f"backup {backup} {word}, so what it knows can't be compared")
    assert f"backup {backup} {word}" in techsapo(folder, "audit", "verify").stdout


def test_a_record_noted_elsewhere_is_compared_by_hand(folder: Path) -> None:
    techsapo(folder, "keys", "create", "one")
    head = verified(folder)["head"]
    assert re.fullmatch(r"2:[0-9a-f]{64}", head)
    assert verified(folder, "--head", head)["compared"] == ["--head"]
    other = head[:-1] + ("0" if head[-1] != "0" else "1")
    assert not verified(folder, "--head", other, code=1)["ok"]
    assert techsapo(folder, "audit", "verify", "--head", "latest").returncode == 2


def test_a_torn_last_line_is_told_and_is_no_tampering(folder: Path) -> None:
    techsapo(folder, "keys", "create", "one")
    with record(folder).open("a") as file:
        file.write('{"sequence":3,"ti')
    done = techsapo(folder, "audit", "verify")
    assert done.returncode == 0
    assert "cut short" in done.stderr
    assert "the end of what was begun before is not recorded" in done.stderr
    techsapo(folder, "keys", "create", "two")
    found = verified(folder)
    assert (found["torn_bytes"], found["closed"]) == (0, [{"line": 3, "bytes": 17}])
    assert "record.jsonl:3: here a power cut" in techsapo(folder, "audit", "verify").stderr
    assert "torn line closed" in [a["action"] for a in shown(folder)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a folder that it can't write to on purpose")
def test_what_can_not_be_recorded_is_not_done_and_down_is_all_the_same(folder: Path) -> None:
    techsapo(folder, "keys", "create", "one")
    path = record(folder)
    path.unlink()
    path.mkdir()
    before = techsapo(folder, "keys", "list", "--json").stdout
    for command in (("create", "two"), ("rotate", "one"), ("revoke", "one")):
        done = techsapo(folder, "keys", *command)
        assert done.returncode == 1
        assert "was not done, because it can't be recorded" in done.stderr
    assert techsapo(folder, "keys", "list", "--json").stdout == before
    done = techsapo(folder, "down")
    assert done.returncode == 0, done.stderr
    assert "down can't be recorded" in done.stderr


def test_a_kill_before_the_key_is_written_leaves_a_record_without_an_end(folder: Path) -> None:
    program = (
        "import os, signal, sys\nfrom techsapo_ops.cli.main import main\n"
        "from techsapo_ops.stores.keys import KeyFile\n"
        "KeyFile.write = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)\n"
        "sys.argv = ['techsapo', 'keys', 'create', 'ci']\nmain()\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=False)
    (begun,) = shown(folder)
    assert (begun["action"], begun["outcome"]) == ("keys create", None)
    assert "no end known" in techsapo(folder, "audit", "show").stdout
    assert verified(folder)["ok"]
