"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from techsapo_ops.adapters.folders import open_file, opened, replace_in, write_error, write_hint
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_NAME = "system.posix_acl_access"
_VERSION = 2
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_NO_ID = 0xFFFFFFFF
_READ, _EXECUTE = 4, 1
_UNSUPPORTED = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


def write_atomic(path: Path, content: bytes, mode: int = 0o644, owner: tuple[int, int] | None = None) -> None:
    """Write `content` to `path` so that a reader sees the old file or the new one, never a part.

    The file has `mode` and `owner` (uid, gid) before it gets its name, and is on disk before this returns.
    Raises OpsError when it can't be written; the old file is then untouched.
    """
    try:
        with opened(path.parent, make=0o777) as folder:
            replace_in(folder, path.name, content, mode, owner)
    except OSError as error:
        error.filename = str(path)  # whoever is refused is told whose it is
        raise write_error(path, error) from None


def write_in_place(path: Path, content: bytes, mode: int) -> None:
    """Write `content` into the file at `path`, which stays the same file: a container may have it mounted by
    itself. It has `mode` before it holds anything of `content`.

    For what has no room, the disk or a limit, nothing is changed. A reader may see a part, and what is killed
    in the middle leaves one. Raises OpsError when it can't be written whole.
    """
    try:
        descriptor = open_file(path, os.O_RDWR)
        with os.fdopen(descriptor, "r+b") as file:
            size = os.fstat(descriptor).st_size
            if own_mode(path) != mode:  # else a container's user would no longer read it
                os.fchmod(descriptor, mode)
            try:
                os.posix_fallocate(descriptor, 0, max(len(content), 1))
            except OSError:
                os.ftruncate(descriptor, size)
                raise
            file.write(content)
            file.truncate()
            os.fsync(descriptor)
    except OSError as error:
        raise write_error(path, error) from None


def make_once(path: Path, content: bytes, mode: int = 0o600) -> bool:
    """Write `content` to `path` unless something is there already; whether this call did.

    Of several who do it at once one does, and nobody reads a part. Raises OpsError when it can't be written.
    """
    if os.path.lexists(path):
        return False
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    write_atomic(partial, content, mode)
    try:
        # A link, unlike a rename, never takes the place of what another has made meanwhile.
        os.link(partial, path, follow_symlinks=False)
        sync_directory(path.parent)
    except FileExistsError:
        return False
    except OSError as error:
        raise write_error(path, error) from None
    finally:
        partial.unlink()
    return True


def private_folder(path: Path, root: Path) -> None:
    """Make `path` and what is missing above it, down from `root`, for its owner alone (0700).

    Raises OpsError when it can't be made.
    """
    try:
        for folder in (root, *reversed(path.relative_to(root).parents[:-1]), path):
            with opened(root / folder, make=0o700):
                pass
    except OSError as error:
        raise OpsError(
            msg("cannot create the folder {path}: {strerror}", path=path, strerror=error.strerror),
            write_hint(error),
        ) from None


def sync_directory(path: Path) -> None:
    """Make renames inside `path` survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_file(path: Path) -> None:
    """Remove a file that a later run goes by, such as a note of work under way, where it is there.

    A power cut does not bring it back once this returns. Raises OSError.
    """
    try:
        path.unlink()
    except FileNotFoundError:
        return
    sync_directory(path.parent)


class NotUtf8Error(OpsError):
    """A file that is no text in UTF-8; `line` and `column`, in characters and from 1, say from where on."""

    def __init__(self, path: Path, error: UnicodeDecodeError) -> None:
        before = error.object[: error.start]
        self.line = before.count(b"\n") + 1
        self.column = len(before[before.rfind(b"\n") + 1 :].decode()) + 1
        where = f"{path}:{self.line}:{self.column}"
        super().__init__(msg("{where}: not UTF-8 text", where=where), msg("save the file as UTF-8"))


def read_text(path: Path, *, what: str = msg("file")) -> str:
    """Text of a UTF-8 file. Raises OpsError that names `what` and the path; NotUtf8Error for another text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise NotUtf8Error(path, error) from None
    except OSError as error:
        raise OpsError(
            msg("cannot read {what} {path}: {strerror}", what=what, path=path, strerror=error.strerror)
        ) from None


def read_by_all(path: Path) -> int | None:
    """The mode of a file that every user of this host may read; None for any other, and where there is none.

    A file in a folder that others may not enter is not read by them, whatever its own mode.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        entered = all(folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents)
    except OSError:
        return None  # whoever reads it next says why
    return mode if mode & stat.S_IROTH and entered else None


def reader_list(mode: int, readers: Iterable[int], allowed: int = _READ) -> bytes:
    """The access control list of a file with `mode` that the users `readers` are `allowed` to use too.

    Its binary form is the kernel's, posix_acl_xattr.h: version, then tag, permissions and id of each entry.
    """
    entries = [(_USER_OBJ, mode >> 6 & 7, _NO_ID)]
    entries += [(_USER, allowed, uid) for uid in sorted(set(readers))]
    entries += [(_GROUP_OBJ, mode >> 3 & 7, _NO_ID), (_MASK, mode >> 3 & 7 | allowed, _NO_ID)]
    entries.append((_OTHER, mode & 7, _NO_ID))
    return struct.pack("<I", _VERSION) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def let_read(path: Path, readers: Iterable[int]) -> None:
    """Let exactly the users `readers` (ids) read the file or folder `path`, beside its owner; nobody else.

    By an access control list, which needs no root and leaves the owner. Where the file system has none and
    there is one reader, root makes that one the owner. Raises OpsError where neither is possible.
    """
    wanted = sorted(set(readers))
    facts = path.stat()
    if wanted in ([], [facts.st_uid]):
        return
    allowed = _READ | _EXECUTE if stat.S_ISDIR(facts.st_mode) else _READ
    acl = reader_list(facts.st_mode & 0o700, wanted, allowed)
    try:
        if _current(path) != acl:
            os.setxattr(path, _NAME, acl)
    except OSError as error:
        if error.errno in _UNSUPPORTED and os.geteuid() == 0 and len(wanted) == 1:
            os.chown(path, wanted[0], wanted[0])
            return
        raise OpsError(
            msg(
                "cannot let the container's user (uid {wanted}) read {path}: {strerror}",
                wanted=wanted[0],
                path=path,
                strerror=error.strerror,
            ),
            msg("put the project on a file system with access control lists, such as ext4 or xfs"),
        ) from None


def own_mode(path: Path) -> int:
    """The mode that `path` was given: stat shows an access list's mask for the group."""
    mode = stat.S_IMODE(path.stat().st_mode)
    entries = struct.iter_unpack("<HHI", _current(path)[4:])
    group = next((permissions for tag, permissions, _ in entries if tag == _GROUP_OBJ), None)
    return mode if group is None else mode & ~0o070 | group << 3


def _current(path: Path) -> bytes:
    try:
        return os.getxattr(path, _NAME)
    except OSError:  # it has none
        return b""
