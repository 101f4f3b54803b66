"""Faults of the machine itself that a test can cause and undo: a full disk, and a clock that nothing sets."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(image: Path, mountpoint: Path, megabytes: int = 24) -> Iterator[None]:
    """An ext4 file system of its own on a loop device, for the block."""
    mountpoint.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    _run("mkfs.ext4", "-q", "-m", "0", image)
    _run("mount", "-o", "loop", image, mountpoint)
    try:
        yield
    finally:
        _run("umount", mountpoint)


def fill(folder: Path, percent: float) -> Path:
    """Write a file into the file system of `folder` until `percent` of it are used. Returns the file."""
    now = os.statvfs(folder)
    wanted = int(now.f_blocks * percent / 100) - (now.f_blocks - now.f_bfree)
    with (folder / "filled").open("wb") as file:
        file.write(b"\xaa" * (wanted * now.f_frsize))
        os.fsync(file.fileno())
    return folder / "filled"


def may_make_disks() -> bool:
    """Whether this process may mount a loop device."""
    return os.geteuid() == 0 and Path("/dev/loop-control").exists() and _capable(21)


def may_set_the_clock() -> bool:
    """Whether this process may tell the kernel how its clock does."""
    return _capable(25)


class _Timex(ctypes.Structure):
    """struct timex of the kernel, as adjtimex(2) takes it."""

    _fields_ = (
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long), ("esterror", ctypes.c_long), ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )  # fmt: skip


_MAXERROR, _STATUS, _UNSYNC = 0x4, 0x10, 0x40
_LIMIT = 16_000_000
"""Microseconds of error at which the kernel calls its clock unsynchronised."""


@contextmanager
def kept_clock() -> Iterator[None]:
    """The kernel believes its clock, as beside a time service; after the block, what it believed before."""
    before = _adjtimex(_Timex())
    set_clock(synchronised=True)
    try:
        yield
    finally:
        _adjtimex(_Timex(modes=_MAXERROR | _STATUS, maxerror=before.maxerror, status=before.status))


def set_clock(*, synchronised: bool) -> None:
    """Tell the kernel what a time service does, or what the kernel concludes nine hours after its last word.

    No time changes by it.
    """
    status = _adjtimex(_Timex()).status & ~_UNSYNC | (0 if synchronised else _UNSYNC)
    _adjtimex(_Timex(modes=_MAXERROR | _STATUS, maxerror=0 if synchronised else _LIMIT, status=status))


def _adjtimex(wanted: _Timex) -> _Timex:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.adjtimex(ctypes.byref(wanted)) < 0:
        raise OSError(ctypes.get_errno(), "adjtimex")
    return wanted


def _capable(capability: int) -> bool:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> capability & 1)


def _run(*argv: str | Path) -> None:
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
