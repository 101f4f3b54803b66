"""Folders and files with the owners that services need when the tool runs as root."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from techsapo_ops.errors import OpsError


def ids(user: str | None) -> tuple[int, int] | None:
    """uid and gid of a system user; None for None, which means whoever runs the tool."""
    if user is None:
        return None
    entry = pwd.getpwnam(user)
    return entry.pw_uid, entry.pw_gid


def folder(path: Path, mode: int, user: str | None = None) -> None:
    """Make `path` a folder with `mode`, owned by `user`; what is in it stays as it is.

    Raises OpsError where that is not possible.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        found = path.stat()
        if stat.S_IMODE(found.st_mode) != mode and found.st_uid == os.geteuid():
            path.chmod(mode)
        owner = ids(user)
        if owner is not None and (found.st_uid, found.st_gid) != owner:
            os.chown(path, *owner)
            if stat.S_IMODE(path.stat().st_mode) != mode:
                path.chmod(mode)
    except OSError as error:
        raise OpsError(
            f"cannot make the folder {path}: {error.strerror}", "check who owns its parent"
        ) from None


def data_folder(path: Path, user: str | None) -> None:
    """A service's data folder, and what is in it, owned by `user`.

    The content changes hands only when the folder itself had another owner: after the service's user was
    added to the host, or when a stack that an ordinary user began is run by root.
    """
    folder(path.parent, 0o755)
    owner = ids(user)
    moved = owner is not None and path.exists() and (path.stat().st_uid, path.stat().st_gid) != owner
    folder(path, 0o750, user)
    if moved and owner is not None:
        for root, folders, files in os.walk(path):
            for name in (*folders, *files):
                os.chown(Path(root, name), *owner, follow_symlinks=False)


def private_folder(path: Path) -> None:
    """A folder below /tmp that is ours alone. Raises OpsError when someone else made it before us."""
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise OpsError(
            f"{path} belongs to someone else (uid {found.st_uid})",
            "remove it, or move the project to a folder with a shorter path",
        )
    path.chmod(0o700)


def give(path: Path, user: str | None) -> None:
    """Make `user` the owner of the file at `path`."""
    owner = ids(user)
    if owner is not None:
        os.chown(path, *owner)
