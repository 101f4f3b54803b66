"""What a process still runs that was replaced on disk."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from techsapo_ops.adapters.held import replaced_files, works_in_removed

LIBRARY = "libm.so.6"
HOLD = "import ctypes, sys; ctypes.CDLL(sys.argv[1]); print('loaded', flush=True); sys.stdin.read()"


def replace(path: Path) -> None:
    """As dpkg does: a new file takes the place of the old one by its name."""
    shutil.copy(path, path.with_suffix(".dpkg-new"))
    path.with_suffix(".dpkg-new").rename(path)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A copy of a shared library that this Python has loaded or can load."""
    found = next(p for folder in ("/lib", "/usr/lib", "/lib64") for p in Path(folder).glob(f"*/{LIBRARY}"))
    return Path(shutil.copy(found, tmp_path / LIBRARY))


@pytest.fixture
def process(library: Path) -> Iterator[int]:
    argv = [sys.executable, "-c", HOLD, str(library)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdin is not None
        running.stdout.readline()
        yield running.pid
        running.stdin.close()


def test_a_library_that_was_replaced_is_named_once(process: int, library: Path) -> None:
    assert replaced_files(process) == ()
    replace(library)
    assert replaced_files(process) == (str(library),)


def test_a_library_outside_the_systems_folders_that_is_only_gone_was_a_temporary_one(
    process: int, library: Path
) -> None:
    library.unlink()
    assert replaced_files(process) == ()


MAPS = """\
7f01-7f02 r-xp 00000000 08:01 1 /usr/lib/x86_64-linux-gnu/libz.so.1.2.13 (deleted)
7f02-7f03 r--p 00001000 08:01 1 /usr/lib/x86_64-linux-gnu/libdata.so.1 (deleted)
7f03-7f04 rw-s 00000000 00:01 2 /SYSV00000000 (deleted)
7f04-7f05 r-xp 00000000 00:01 3 /memfd:jit (deleted)
7f05-7f06 rwxs 00000000 00:01 4 /dev/shm/x (deleted)
7f06-7f07 r-xp 00000000 08:01 5 /usr/lib/x86_64-linux-gnu/libc.so.6
7f07-7f08 r-xp 00000000 00:00 0 [vdso]
7f08-7f09 rw-p 00000000 00:00 0
7f09-7f0a r-xp 00000000 08:01 6 /usr/lib/a folder/lib b.so (deleted)
"""


def test_a_library_with_its_version_in_its_name_counts_and_memory_without_a_file_does_not(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "7"
    folder.mkdir()
    (folder / "exe").symlink_to("/usr/bin/redis-server")
    (folder / "maps").write_text(MAPS)
    assert replaced_files(7, tmp_path) == (
        "/usr/lib/x86_64-linux-gnu/libz.so.1.2.13", "/usr/lib/a folder/lib b.so",
    )  # fmt: skip


def test_a_process_whose_folder_was_removed_is_seen_and_one_that_has_ended_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with subprocess.Popen(["cat"], cwd=folder, stdin=subprocess.PIPE) as running:
        assert not works_in_removed(running.pid)
        folder.rename(tmp_path / "moved")
        assert not works_in_removed(running.pid), "it is somewhere"
        (tmp_path / "moved").rmdir()
        folder.mkdir()
        assert works_in_removed(running.pid), "another folder of that name is not its own"
        assert running.stdin is not None
        running.stdin.close()
    assert not works_in_removed(running.pid)
