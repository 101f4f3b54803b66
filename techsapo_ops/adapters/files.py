"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from techsapo_ops.adapters import access_list
from techsapo_ops.adapters.folders import open_file, opened, replace_in, write_hint
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg


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
        raise OpsError(
            msg("cannot write {path}: {strerror}", path=path, strerror=error.strerror), write_hint(error)
        ) from None


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
            if access_list.own_mode(path) != mode:  # else a container's user would no longer read it
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
        raise OpsError(
            msg("cannot write {path}: {strerror}", path=path, strerror=error.strerror), write_hint(error)
        ) from None


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
        raise OpsError(
            msg("cannot write {path}: {strerror}", path=path, strerror=error.strerror), write_hint(error)
        ) from None
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
            msg("cannot make the folder {path}: {strerror}", path=path, strerror=error.strerror),
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


def read_text(path: Path, *, what: str = msg("file")) -> str:
    """Text of a UTF-8 file. Raises OpsError that names `what` and the path."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise OpsError(
            msg("{path}: byte {start} is not UTF-8", path=path, start=error.start),
            msg("save the file as UTF-8"),
        ) from None
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
