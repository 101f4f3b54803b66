"""Folders and files with the owners that services need when the tool runs as root."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from techsapo_ops.adapters.folders import FOLDER, opened
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg


def ids(user: str | None) -> tuple[int, int] | None:
    """uid and gid of a system user; None for None, which means whoever runs the tool."""
    if user is None:
        return None
    entry = pwd.getpwnam(user)
    return entry.pw_uid, entry.pw_gid


def folder(path: Path, mode: int, user: str | None = None) -> None:
    """Make `path` a folder with `mode`, owned by `user`; what is in it stays as it is.

    By descriptor, so that what changes hands is the folder itself: a link is never followed to one that
    would have to be changed. Raises OpsError where that is not possible.
    """
    try:
        with opened(path, make=0o777) as descriptor:
            status = os.fstat(descriptor)
            owner = ids(user)
            gives = owner is not None and (status.st_uid, status.st_gid) != owner
            fits = stat.S_IMODE(status.st_mode) == mode or (not gives and status.st_uid != os.geteuid())
            if (gives or not fits) and path.is_symlink():
                whose = msg(" and the owner {user}", user=user) if user else ""
                raise OpsError(
                    msg(
                        "{path} is a symbolic link to a folder whose mode or owner does not suit the stack",
                        path=path,
                    ),
                    msg(
                        "remove the link, or give its target folder mode {mode:04o}{whose}",
                        mode=mode,
                        whose=whose,
                    ),
                )
            if not fits:
                os.fchmod(descriptor, mode)
            if gives and owner is not None:
                os.fchown(descriptor, *owner)
    except OSError as error:
        raise OpsError(
            msg("cannot create the folder {path}: {strerror}", path=path, strerror=error.strerror),
            msg("check who owns the parent folder"),
        ) from None


def data_folder(path: Path, user: str | None) -> None:
    """A service's data folder, and what is in it, owned by `user`.

    The content changes hands only when the folder itself had another owner: after the service's user was
    added to the host, or when a stack that an ordinary user began is run by root. Raises OpsError for what
    may be somebody else's file by another name.
    """
    folder(path.parent, 0o755)
    owner = ids(user)
    before = path.stat() if path.exists() else None
    folder(path, 0o750, user)
    if owner is None or before is None or (before.st_uid, before.st_gid) == owner:
        return
    try:
        with opened(path) as descriptor:
            for below, folders, files, inside in os.fwalk(".", dir_fd=descriptor):
                for name in (*folders, *files):
                    _hand_over(inside, name, owner, before.st_uid, path / below / name)
    except OSError as error:
        raise OpsError(
            msg(
                "cannot make {user} the owner of the content of {path}: {strerror}",
                path=path,
                user=user,
                strerror=error.strerror,
            ),
            msg("check who owns it"),
        ) from None


def masters_folder(path: Path) -> None:
    """The data folder of a service whose main process keeps root: root's, others may look into it.

    Such a process follows links there. nginx's master writes its pid file, and gives each folder of temporary
    files to its workers' user (ngx_create_paths in core/ngx_file.c). So whoever may make links in it makes
    it overwrite a file of root's, or give a folder of root's away.
    Whatever was left there by others, but for folders, is removed. Raises OpsError.
    """
    folder(path, 0o755, "root")
    try:
        with opened(path) as descriptor:
            for name in os.listdir(descriptor):  # noqa: PTH208 - by descriptor
                facts = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                own = stat.S_ISREG(facts.st_mode) and facts.st_uid == 0 and facts.st_nlink == 1
                if not own and not stat.S_ISDIR(facts.st_mode):
                    os.unlink(name, dir_fd=descriptor)
    except OSError as error:
        raise OpsError(
            msg("cannot clear {path}: {strerror}", path=path, strerror=error.strerror),
            msg("check who owns it"),
        ) from None


def _hand_over(folder: int, name: str, owner: tuple[int, int], earlier: int, path: Path) -> None:
    """Give one entry of an opened folder to `owner`: a link itself, not what it leads to.

    A second name of a file that is neither the new owner's nor the `earlier` one's is no part of the data.
    Root, who may follow a link anywhere, takes none, and no second name of what is root's already.
    """
    facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if owner[0] == 0:
        owners = {earlier} - {0}
        if stat.S_ISLNK(facts.st_mode):
            raise OpsError(
                msg("{path} is a symbolic link, which a service that runs as root would follow", path=path),
                msg("remove the link"),
            )
    else:
        owners = {owner[0], earlier}
    if stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode):
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        try:
            _refuse_second_name(os.fstat(descriptor), owners, path)
            os.fchown(descriptor, *owner)
        finally:
            os.close(descriptor)
    else:
        _refuse_second_name(facts, owners, path)
        os.chown(name, *owner, dir_fd=folder, follow_symlinks=False)


def _refuse_second_name(facts: os.stat_result, expected: set[int], path: Path) -> None:
    if not stat.S_ISDIR(facts.st_mode) and facts.st_nlink > 1 and facts.st_uid not in expected:
        raise OpsError(
            msg(
                "{path} is a hard link to a file of uid {st_uid}, so its owner is not changed",
                path=path,
                st_uid=facts.st_uid,
            ),
            msg("find out who created that file, then remove the file"),
        )


def private_folder(path: Path) -> None:
    """A folder below /tmp that is ours alone. Raises OpsError when someone else made it before us."""
    path.mkdir(mode=0o700, exist_ok=True)
    try:
        descriptor = os.open(path, FOLDER | os.O_NOFOLLOW)
    except OSError:  # a link
        raise _somebody_elses(path, path.lstat().st_uid) from None
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid():
            raise _somebody_elses(path, status.st_uid)
        os.fchmod(descriptor, 0o700)
    finally:
        os.close(descriptor)


def _somebody_elses(path: Path, uid: int) -> OpsError:
    return OpsError(
        msg("{path} belongs to another user (uid {uid})", path=path, uid=uid),
        msg("remove that folder, or move the project to a folder with a shorter path"),
    )


def give(path: Path, user: str | None) -> None:
    """Make `user` the owner of the file or folder at `path`, which is no link and has no other name.

    Raises OpsError for one that may be somebody else's.
    """
    owner = ids(user)
    if owner is None:
        return
    try:
        with opened(path.parent) as folder:
            facts = os.stat(path.name, dir_fd=folder, follow_symlinks=False)
            if not (stat.S_ISREG(facts.st_mode) or stat.S_ISDIR(facts.st_mode)):
                raise OpsError(
                    msg(
                        "{path} is not a regular file, so its owner is not changed to {user}",
                        path=path,
                        user=user,
                    ),
                    msg("remove that file"),
                )
            _hand_over(folder, path.name, owner, owner[0], path)
    except OSError as error:
        raise OpsError(
            msg(
                "cannot make {user} the owner of {path}: {strerror}",
                path=path,
                user=user,
                strerror=error.strerror,
            ),
            msg("check who owns it"),
        ) from None
