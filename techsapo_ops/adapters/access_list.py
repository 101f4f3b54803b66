"""Lets a container's user read a file of this host: compose gives secrets no owner of their own."""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_NAME = "system.posix_acl_access"
_VERSION = 2
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_NO_ID = 0xFFFFFFFF
_READ, _EXECUTE = 4, 1
_UNSUPPORTED = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


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
                "the container of user {wanted} can't be let read {path}: {strerror}",
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
