"""Files that are written where somebody else may have planted a symbolic link on the way.

Every folder on the way is opened from the one above it and without following a link, so that what was looked
at is what is written: open(2), "Rationale for openat() and other directory file descriptor APIs".
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from techsapo_ops.adapters.folders import replacing
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""O_PATH, since one need not be allowed to list every folder on the way."""
_PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class NoFollowFile:
    """A file by its absolute path; links that the user wants followed are resolved in it."""

    path: Path

    def look(self) -> os.stat_result | None:
        """What is there; None for nothing.

        Raises OpsError for anything but a regular file, and where a folder on the way is a link.
        """
        with self._folder(make=False) as folder:
            return self._regular(folder) if folder is not None else None

    def copy_to(self, target: IO[bytes]) -> os.stat_result:
        """Write what is there into `target`, and return what it was. Raises OpsError where that fails."""
        with self._folder(make=False) as folder, self._said(msg("read")):
            if folder is None:
                raise FileNotFoundError(errno.ENOENT, "No such file or directory")
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            with os.fdopen(os.open(self.path.name, flags, dir_fd=folder), "rb") as file:
                facts = os.fstat(file.fileno())
                if not stat.S_ISREG(facts.st_mode):
                    raise OSError(errno.EINVAL, msg("it is not a regular file"))
                shutil.copyfileobj(file, target, _PIECE)
        return facts

    def put(self, content: IO[bytes], mode: int, owner: tuple[int, int] | None = None) -> None:
        """Write the file anew: a reader sees the old one or the new one. Missing folders are made (0755).

        It has `mode`, without setuid, setgid and sticky, and `owner` (uid, gid) before it gets its name, and
        is on disk before this returns. Raises OpsError where it can't be written.
        """
        with self._folder(make=True) as folder, self._said(msg("write")):
            assert folder is not None  # noqa: S101 - made where it was not there
            self._regular(folder)
            with replacing(folder, self.path.name, mode & 0o777, owner) as file:
                shutil.copyfileobj(content, file, _PIECE)
            _sync(folder)

    def remove(self) -> None:
        """Remove the file where it is there. Raises OpsError."""
        with self._folder(make=False) as folder, self._said(msg("remove")):
            if folder is not None:
                with suppress(FileNotFoundError):  # nothing to remove
                    os.unlink(self.path.name, dir_fd=folder)
                    _sync(folder)

    @contextmanager
    def _folder(self, *, make: bool) -> Iterator[int | None]:
        """A descriptor of the folder that the file is in; None where that is not there."""
        folder = self._open(make=make)
        try:
            yield folder
        finally:
            if folder is not None:
                os.close(folder)

    def _open(self, *, make: bool) -> int | None:
        seen = Path("/")
        folder = os.open(seen, _FOLDER)
        try:
            for part in self.path.parts[1:-1]:
                seen /= part
                if make:
                    with suppress(FileExistsError):  # then it is opened
                        os.mkdir(part, 0o755, dir_fd=folder)
                        _sync(folder)
                below = os.open(part, _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = below
        except BaseException as error:
            os.close(folder)
            if isinstance(error, FileNotFoundError) and not make:
                return None
            if not isinstance(error, OSError):
                raise
            if error.errno in {errno.ELOOP, errno.ENOTDIR} and seen.is_symlink():
                raise OpsError(
                    msg(
                        "{seen} is a symbolic link, so {path} would be written to another place",
                        seen=seen,
                        path=self.path,
                    ),
                    msg("replace the link with a folder, then try again"),
                ) from None
            raise OpsError(
                msg("cannot open {seen}: {strerror}", seen=seen, strerror=error.strerror),
                msg("check who owns it"),
            ) from None
        return folder

    def _regular(self, folder: int) -> os.stat_result | None:
        try:
            facts = os.stat(self.path.name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise OpsError(
                msg("cannot check {path}: {strerror}", path=self.path, strerror=error.strerror),
                msg("check who owns it"),
            ) from None
        if not stat.S_ISREG(facts.st_mode):
            kind = msg("a symbolic link") if stat.S_ISLNK(facts.st_mode) else msg("not a regular file")
            raise OpsError(
                msg(
                    "{path} is {kind}, so techsapo does not replace it with a file", path=self.path, kind=kind
                ),
                msg("move the file or folder at that path elsewhere, then try again"),
            )
        return facts

    @contextmanager
    def _said(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            hint = {errno.ENOSPC: msg("the disk is full"), errno.EROFS: msg("the file system is read-only")}
            raise OpsError(
                msg("cannot {what} {path}: {strerror}", what=what, path=self.path, strerror=error.strerror),
                hint.get(error.errno or 0, msg("check who owns the folder")),
            ) from None


def _sync(folder: int) -> None:
    """Make a rename survive a power cut, where the folder may be opened for that."""
    try:
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    except PermissionError:
        return  # a folder that may be written and not listed
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
