"""Looking at a lock never takes it: whoever wants it beside a looker gets it at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rows import each_row

from techsapo_ops.adapters.lock import exclusive, held
from techsapo_ops.errors import OpsError

TIMES = 6000
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


def test_thousands_of_takers_beside_lookers_fail_never(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.with_suffix(".on").touch()
    lookers = [
        subprocess.Popen([sys.executable, "-c", LOOKS, str(path)], stdout=subprocess.PIPE) for _ in range(2)
    ]
    try:
        for looker in lookers:
            assert looker.stdout is not None
            assert looker.stdout.readline() == b"looks\n"
        deadline = time.monotonic() + 60
        taken = 0
        while taken < TIMES and time.monotonic() < deadline:
            with exclusive(path):  # raises where it is taken
                taken += 1
        assert taken >= 3000, "too slow a machine to say anything"
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


def test_a_look_asks_for_no_right_to_write(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with exclusive(path):
        path.chmod(0o400)
        assert held(path)
    assert not held(path)


def test_a_lock_that_is_not_there_is_held_by_nobody_and_is_not_made(tmp_path: Path) -> None:
    assert not held(tmp_path / "lock")
    assert not list(tmp_path.iterdir())


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
        with pytest.raises(OpsError, match="another techsapo is at work"), exclusive(path):
            pass


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a mount")
def test_a_bind_mount_in_another_mount_and_pid_namespace_has_the_same_lock(tmp_path: Path) -> None:
    path = tmp_path / "a" / "lock"
    (tmp_path / "b").mkdir()
    look = (
        "import sys; from pathlib import Path; from techsapo_ops.adapters.lock import held\n"
        f"sys.exit(held(Path('{tmp_path}/b/lock')))"
    )
    script = f'mount --bind {tmp_path}/a {tmp_path}/b && exec {sys.executable} -c "$1"'
    inside = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", script, "sh", look]
    with exclusive(path):
        done = subprocess.run(inside, capture_output=True, timeout=60, check=False)
        if b"Operation not permitted" in done.stderr:
            pytest.skip("no mounts here")
        assert (done.returncode, done.stderr) == (1, b"")
    assert subprocess.run(inside, timeout=60, check=False).returncode == 0
