"""Another user's commands on root's stack: nothing is made up, nothing changes, and they say as whom."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import warm
from projects import Project, only_redis, project
from rows import each_row

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.cli.lazy import LazyCommand
from techsapo_ops.cli.main import COMMANDS

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become others"),
]

CASES = read_yaml((Path(__file__).parents[2] / "cases/every_command.yaml").read_text(encoding="utf-8"))
NOBODY = 65534
_REPRESENTATIVE = {
    "plan", "changes list", "changes diff", "changes drift", "status", "ps", "logs", "health", "alerts list",
    "backup list", "backup verify", "keys list", "certs status", "audit show", "doctor", "config generate",
    "up", "backup", "keys create",
}  # fmt: skip


def leaves() -> set[str]:
    """Every command as one types it."""
    return {
        leaf for name, entry in COMMANDS.items() for leaf in below(name, LazyCommand(name, entry).resolve())
    }


def below(name: str, command: Any) -> Iterator[str]:
    """What of a command does something when it is typed."""
    members = getattr(command, "commands", {})
    if not members or command.invoke_without_command:
        yield name
    for member, each in members.items():
        yield from below(f"{name} {member}", each)


def test_the_table_has_every_command_once() -> None:
    named = [case["command"] for case in CASES]
    assert sorted(named) == sorted(leaves())


@pytest.fixture(scope="module")
def stack() -> Iterator[Project]:
    with project(only_redis()) as made:
        made.run("up", "--yes")
        made.run("backup")
        made.run("keys", "create", "mine")
        yield made
        made.run("down")


def words_of(case: dict[str, Any]) -> list[str]:
    return [*case["command"].split(), *case.get("words", [])]


AsUser = Callable[[int, Path, list[list[str]]], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def as_user() -> Iterator[AsUser]:
    """What `techsapo` says to each of some commands, run as the user with a uid in a folder."""
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).parents[1] / "as_another.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "NO_COLOR": "1", "HOME": "/nonexistent"},
    )  # fmt: skip

    def run(uid: int, folder: Path, words: list[list[str]]) -> list[dict[str, Any]]:
        assert process.stdin is not None
        assert process.stdout is not None
        print(json.dumps({"uid": uid, "folder": str(folder), "words": words}), file=process.stdin, flush=True)
        said: list[dict[str, Any]] = json.loads(process.stdout.readline())
        return said

    with process:
        yield run


def files(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Everything below `folder` but what the running services write: mode, owner and size."""
    running = ("data/", "logs/", "run/", "textfile/")
    found = {}
    for path in folder.rglob("*"):
        name = str(path.relative_to(folder))
        if not name.startswith(running):
            facts = path.lstat()
            found[name] = (facts.st_mode, facts.st_uid, facts.st_size if path.is_file() else 0)
    return found


def open_up(top: Path, *, but: tuple[str, ...] = ()) -> None:
    """Let everybody read what is below `top`, but for what is in the folders `but`."""
    for path in (top, *top.rglob("*")):
        name = str(path.relative_to(top))
        if not path.is_symlink() and not name.startswith(but):
            path.chmod(stat.S_IMODE(path.stat().st_mode) | (0o055 if path.is_dir() else 0o044))


def judged(said: dict[str, Any], case: dict[str, Any], how: str) -> list[str]:
    """What is wrong with what was said."""
    wrong = []
    end = said["out"][-300:] + said["err"][-600:]
    where = f"{how}: techsapo {' '.join(words_of(case))} -> {said['code']}\n{end}"
    if "Traceback" in said["err"] + said["out"] or said["code"] not in {0, 1, 2, 3, 100}:
        wrong.append(f"a crash: {where}")
    if "try:" in said["err"] and "Permission denied" in said["err"] and "try: run it as " not in said["err"]:
        wrong.append(f"it is not said as whom: {where}")
    if case.get("changes") and said["code"] == 0:
        wrong.append(f"it says that it is done: {where}")
    return wrong


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that others reach, which those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="techsapo-lab-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@each_row("readable", ["as it is", "not the ledger", "not the spec"])
def test_another_user_gets_an_error_that_says_as_whom(stack: Project, as_user: AsUser, readable: str) -> None:
    """Also on a stack of which only some files may be read."""
    copy = stack.directory.parent / readable.replace(" ", "-")
    shutil.copytree(stack.directory, copy, ignore=shutil.ignore_patterns("*.sock"))
    if readable != "as it is":
        open_up(copy / ".techsapo", but=("ledger", "backups") if readable == "not the ledger" else ())
    if readable == "not the spec":
        (copy / "techsapo.yaml").chmod(0o600)
    before = files(copy)
    # Where more may be read, those that change something still fail at its lock: a few stand for them.
    cases = [c for c in CASES if readable == "as it is" or c["command"] in _REPRESENTATIVE]
    found = as_user(NOBODY, copy, [words_of(case) for case in cases])
    wrong = [line for case, said in zip(cases, found, strict=True) for line in judged(said, case, readable)]
    assert not wrong, "\n".join(wrong)
    assert files(copy) == before


def test_what_cannot_be_read_is_not_nothing(stack: Project, as_user: AsUser) -> None:
    told = as_user(NOBODY, stack.directory, [["answers", "costs"], ["answers", "costs", "--json"]])
    for said in told:
        assert (said["code"], said["out"]) == (1, "")
        assert "cannot read the ledger" in said["err"]
        assert "try: run it as root: `sudo techsapo answers costs" in said["err"]


def test_the_owner_is_named_who_is_not_root(folder: Path, as_user: AsUser) -> None:
    """With sudo -u; what is one's own is no other user's."""
    owner = pwd.getpwnam("daemon")
    (folder / "techsapo.yaml").write_text("project: theirs\nengine: native\n", encoding="utf-8")
    state = folder / ".techsapo"
    (state / "ledger").mkdir(parents=True)
    for path in (state, state / "ledger"):
        path.chmod(0o700)
        os.chown(path, owner.pw_uid, owner.pw_gid)
    (said,) = as_user(NOBODY, folder, [["changes", "list"]])
    assert said["code"] == 1
    assert f"{state} is owned by daemon (mode 0700)" in said["err"], said["err"]
    assert f"try: run it as daemon; or `sudo chown nobody {state}`\n" in said["err"], said["err"]
    (state / "ledger").chmod(0o000)
    (said,) = as_user(owner.pw_uid, folder, [["changes", "list"]])
    assert "you own this file or folder: check its permissions" in said["err"], said["err"]


def test_keys_of_a_stack_that_never_ran_are_listed_without_a_folder_for_them(
    folder: Path, as_user: AsUser
) -> None:
    (folder / "techsapo.yaml").write_text("project: none\nengine: native\n", encoding="utf-8")
    (said,) = as_user(NOBODY, folder, [["keys", "list"]])
    assert (said["code"], said["err"].splitlines()[0]) == (0, "There are no API keys.")
    assert warm.run([sys.executable, "-m", "techsapo_ops", "keys", "list"], cwd=folder).returncode == 0
    assert [path.name for path in folder.iterdir()] == ["techsapo.yaml"]
