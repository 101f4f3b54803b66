"""Locks: looking at one never takes it, its file is its user's alone, and who can't have it is told why."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.adapters import lock
from techsapo_ops.adapters.lock import exclusive, held
from techsapo_ops.errors import OpsError

TIMES = 1000
LOOKS = """
import sys
from pathlib import Path
from techsapo_ops.adapters.lock import held
path, looks = Path(sys.argv[1]), 0
print("looks", flush=True)
while path.with_suffix(".on").exists():
    for _ in range(50):
        held(path)
"""


def test_takers_beside_lookers_never_fail(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.with_suffix(".on").touch()
    lookers = [
        subprocess.Popen([sys.executable, "-c", LOOKS, str(path)], stdout=subprocess.PIPE) for _ in range(2)
    ]
    try:
        for looker in lookers:
            assert looker.stdout is not None
            assert looker.stdout.readline() == b"looks\n"
        for _ in range(TIMES):
            with exclusive(path):  # raises where it is taken
                pass
    finally:
        path.with_suffix(".on").unlink()
        for looker in lookers:
            looker.wait(20)
            assert looker.stdout is not None
            looker.stdout.close()


def test_a_child_that_is_given_it_keeps_it_and_a_looker_of_the_holders_process_does_not_let_go(
    tmp_path: Path,
) -> None:
    path = tmp_path / "lock"
    with exclusive(path) as descriptor:
        child = subprocess.Popen(["sleep", "60"], pass_fds=(descriptor,))
        assert held(path)
        assert held(path), "classic record locks are gone with the first descriptor that is closed"
        assert path.read_text(), "its note is there for as long as it is held"
    try:
        assert held(path)
    finally:
        child.kill()
        child.wait()
    assert not held(path)


def test_a_look_makes_no_lock_and_asks_for_no_right_to_write(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not held(path)
    assert not list(tmp_path.iterdir())
    with exclusive(path):
        path.chmod(0o400)
        assert held(path)
    assert not held(path)


def test_what_is_no_lock_file_is_held_by_nobody_and_waited_for_by_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "around").symlink_to("around")
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    look = (
        "import sys; from pathlib import Path; from techsapo_ops.adapters.lock import held\n"
        "sys.exit(held(Path(sys.argv[1])))"
    )
    with exclusive(tmp_path / "file"):
        for name in ("pipe", "around", "file/lock", "link"):
            done = subprocess.run([sys.executable, "-c", look, tmp_path / name], timeout=30, check=False)
            assert done.returncode == 0, name


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    code = (
        "import os, sys; from pathlib import Path; from techsapo_ops.adapters.folders import open_file\n"
        "try: open_file(Path(sys.argv[1]), int(sys.argv[2]))\n"
        "except Exception: sys.exit(7)"
    )
    for flags in (os.O_RDONLY, os.O_WRONLY):
        words = [sys.executable, "-c", code, tmp_path / "pipe", str(flags)]
        assert subprocess.run(words, timeout=30, check=False).returncode == 7


@each_row("note", ["[1]", "null", "[" * 100_000, '{"command": 1}'])
def test_a_note_of_the_holder_that_is_none_is_passed_over(tmp_path: Path, note: str) -> None:
    path = tmp_path / "lock"
    with exclusive(path):
        path.write_text(note)
        with (
            pytest.raises(OpsError, match="another techsapo command is working on this stack"),
            exclusive(path),
        ):
            pass


def test_a_new_lock_file_is_its_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "lock"
    with exclusive(path):
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(OpsError), exclusive(path):
            pass


@each_row(
    "number, hint",
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "this user's quota is used up"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EMFILE, "`ulimit -n`"),
        (errno.EACCES, "check who owns the folder"),
    ],
)
def test_a_lock_that_cannot_be_made_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, hint: str
) -> None:
    def refuse(path: Path, *_: object) -> int:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(lock, "open_file", refuse)
    with pytest.raises(OpsError, match=os.strerror(number)) as caught, exclusive(tmp_path / "lock"):
        pass
    assert hint in caught.value.hint


@each_row("waits, hint", [(True, "pass --wait SECONDS"), (False, "then try again")])
def test_the_holder_is_named_and_wait_only_where_the_command_has_it(
    tmp_path: Path, waits: bool, hint: str
) -> None:
    pid = rf"\(pid {os.getpid()}, since "
    with (
        exclusive(tmp_path / "lock"),
        pytest.raises(OpsError, match=pid) as caught,
        exclusive(tmp_path / "lock", waits=waits),
    ):
        pass
    assert hint in caught.value.hint
    assert ("--wait" in caught.value.hint) == waits
