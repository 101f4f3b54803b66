"""Replaces a file in an opened folder, whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress


def replace_in(folder: int, name: str, content: bytes, mode: int, owner: tuple[int, int] | None) -> None:
    """Make `content` the file `name` in the folder with the descriptor `folder`.

    The file has `mode` and `owner` (uid, gid) before it gets its name, and is on disk before this returns.
    Raises OSError; the old file is then untouched.
    """
    temporary = f".{name}.{os.urandom(4).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            if owner is not None:
                os.fchown(descriptor, *owner)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)
        raise
    os.fsync(folder)


def write_hint(error: OSError) -> str:
    """What to try where a file can't be written."""
    import errno

    return {
        errno.ENOSPC: "the disk is full; nothing was changed",
        errno.EROFS: "the file system is read-only",
        errno.EACCES: "check who owns the folder",
        errno.EPERM: "check who owns the folder",
    }.get(error.errno or 0, "")
