"""Lets a container's user read a file of this host: compose gives secrets no owner of their own."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from techsapo_ops.errors import OpsError

_NAME = "system.posix_acl_access"
_VERSION = 2
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
_NO_ID = 0xFFFFFFFF
_READ = 4
_UNSUPPORTED = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


def reader_list(mode: int, readers: Iterable[int]) -> bytes:
    """The access control list of a file with `mode` that the users `readers` may read too.

    Its binary form is the kernel's, posix_acl_xattr.h: version, then tag, permissions and id of each entry.
    """
    entries = [(_USER_OBJ, mode >> 6 & 7, _NO_ID)]
    entries += [(_USER, _READ, uid) for uid in sorted(set(readers))]
    entries += [(_GROUP_OBJ, mode >> 3 & 7, _NO_ID), (_MASK, mode >> 3 & 7 | _READ, _NO_ID)]
    entries.append((_OTHER, mode & 7, _NO_ID))
    return struct.pack("<I", _VERSION) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def let_read(path: Path, readers: Iterable[int]) -> None:
    """Let exactly the users `readers` (ids) read `path`, beside its owner; nobody else.

    By an access control list, which needs no root and leaves the owner. Where the file system has none and
    there is one reader, root makes that one the owner. Raises OpsError where neither is possible.
    """
    wanted = sorted(set(readers))
    facts = path.stat()
    if wanted in ([], [facts.st_uid]):
        return
    acl = reader_list(facts.st_mode & 0o700, wanted)
    try:
        if _current(path) != acl:
            os.setxattr(path, _NAME, acl)
    except OSError as error:
        if error.errno in _UNSUPPORTED and os.geteuid() == 0 and len(wanted) == 1:
            os.chown(path, wanted[0], wanted[0])
            return
        raise OpsError(
            f"the container of user {wanted[0]} can't be let read {path}: {error.strerror}",
            "put the project on a file system with access control lists, such as ext4 or xfs",
        ) from None


def _current(path: Path) -> bytes:
    try:
        return os.getxattr(path, _NAME)
    except OSError:  # it has none
        return b""
