"""One tool at a time at a stack.

A lock is a write lock of the file's open description (F_OFD_SETLK), which goes with its last descriptor:
Ctrl-C and kill -9 leave none. Unlike flock's it can be asked about without taking it. See fcntl(2).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from techsapo_ops.adapters.folders import open_file, opened, write_hint
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

MODE = 0o600
"""Of a lock file: who may only read it can keep it from its owner for ever, by a read lock."""
_FLOCK = struct.Struct("@hhqqi0q")
"""The kernel's `struct flock`: type, whence, start, length (0: to the end of the file) and pid, here 0."""
_WHOLE = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


def _holder(descriptor: int) -> str:
    try:
        who = json.loads(os.pread(descriptor, 4096, 0))
        return msg(
            "`{who}` (pid {who2}, since {who3})", who=who["command"], who2=who["pid"], who3=who["since"]
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return msg("another techsapo command")


@contextmanager
def exclusive(
    path: Path, *, wait: float = 0.0, what: str = msg("this stack"), waits: bool = True
) -> Iterator[int]:
    """Hold the lock file `path` while the block runs, waiting up to `wait` seconds for it.

    The file's content only says who holds it. Yields the file's descriptor: a child that is given it keeps
    the lock for as long as it lives. Raises OpsError naming the holder, at work on `what`, when the lock is
    taken. `waits` says whether the user can have the command wait for longer, by --wait.
    """
    try:
        with opened(path.parent, make=0o777):
            descriptor = open_file(path, os.O_RDWR | os.O_CREAT, MODE)
    except OSError as error:
        raise OpsError(
            msg("cannot open the lock {path}: {strerror}", path=path, strerror=error.strerror),
            write_hint(error),
        ) from None
    try:
        if os.fstat(descriptor).st_mode & 0o077:
            with suppress(OSError):  # another user's
                os.fchmod(descriptor, MODE)
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _WHOLE)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise OpsError(
                        msg("{holder} is working on {what}", holder=_holder(descriptor), what=what),
                        msg("wait until that command ends, or pass --wait SECONDS")
                        if waits
                        else msg("wait until that command ends, then try again"),
                    ) from None
                time.sleep(0.1)
        command = " ".join(["techsapo", *sys.argv[1:3]])
        note = {
            "command": command,
            "pid": os.getpid(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        # The note only tells who holds it: on a full disk the lock is held all the same.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(note).encode(), 0)
        yield descriptor
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def held(path: Path) -> bool:
    """Whether somebody holds the lock file `path`, in whatever PID namespace; it is not taken for that.

    To who may not look, it is held. What is no lock file, such as a link, nobody can hold: who takes the lock
    is told of it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError:
        return True
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}:
            return False
        raise
    try:
        kind, *_ = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _WHOLE))
    finally:
        os.close(descriptor)
    return bool(kind != fcntl.F_UNLCK)
