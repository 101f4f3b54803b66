"""Opens folders and files by descriptor, so that a link planted on the way leads root nowhere.

Below a state directory root follows no symbolic link, whoever made it, but root's own for a folder that may
stand on another disk (`data`, a service's folder in it, `logs`). Names inside an opened folder are then used
relative to its descriptor: nobody can swap the folder between the look and the use. Others than root open
what they may; the kernel keeps them from what is not theirs.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

STATE_DIRECTORY = ".techsapo"
"""Folder beside the spec that holds everything that the tool makes."""
GIT_IGNORE = ".gitignore"
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_LINK_ERRORS = {errno.ELOOP, errno.ENOTDIR}
"""What open(2) says of a link: ENOTDIR where O_DIRECTORY is asked for too."""
_ELSEWHERE = msg(
    "remove the link; to use a folder on another disk, mount that folder in its place (`mount --bind`)"
)

_OTHERS_WRITE = 0o022
"""What root gives to nobody else, however it is asked to make a folder."""


def open_folder(path: Path, *, make: int | None = None) -> int:
    """A descriptor of the folder `path`, for the caller to close.

    With `make` it is made with that mode where it is missing, and so is what is missing above it; a state
    directory that is made so is kept out of git from the start. Raises OpsError for a link that root does not
    follow (see the module), OSError for whatever else is wrong.
    """
    if make is None or (state := _state(path)) is None or state.exists():
        return _open(path, make)
    descriptor = _open(path, make)
    try:
        keep_out_of_git(state)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _open(path: Path, make: int | None) -> int:
    base, below = _split(path)
    if make is not None:
        _make_base(base, 0o755 if below else make)
    if below or base.name == STATE_DIRECTORY:
        _own_link(base)
    descriptor = os.open(base, FOLDER)
    for length in range(1, len(below) + 1):
        mode = None if make is None else make if length == len(below) else 0o755
        try:
            child = _enter(descriptor, below[:length], base, mode)
        finally:
            os.close(descriptor)
        descriptor = child
    return descriptor


@contextmanager
def opened(path: Path, *, make: int | None = None) -> Iterator[int]:
    """As open_folder, closed at the end of the block."""
    descriptor = open_folder(path, make=make)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def missing(path: Path) -> tuple[Path, ...]:
    """What is not there of the folder `path` and those above it, the outermost first."""
    return tuple(folder for folder in (*reversed(path.parents), path) if not folder.exists())


def remove_empty(folders: Sequence[Path]) -> list[Path]:
    """Remove those of `folders` that are there and empty, the last first; returns them."""
    gone = []
    for folder in reversed(folders):
        with suppress(OSError):  # it is gone, or holds something
            folder.rmdir()
            gone.append(folder)
    return gone


@contextmanager
def new_file(folder: int, name: str, mode: int, owner: tuple[int, int] | None = None) -> Iterator[IO[bytes]]:
    """A new file `name` in the folder with the descriptor `folder`, for the block to write.

    It has `mode` and `owner` (uid, gid) before it holds anything, and is on disk when the block ends; where
    that fails it is removed. Raises OSError.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            if owner is not None:
                os.fchown(descriptor, *owner)
            yield file
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        os.unlink(name, dir_fd=folder)
        raise


@contextmanager
def replacing(folder: int, name: str, mode: int, owner: tuple[int, int] | None = None) -> Iterator[IO[bytes]]:
    """As `new_file`, under a temporary name until the block ends: a reader sees the old file or the new one.

    The folder is not synchronized.
    """
    temporary = f".{name}.{os.urandom(4).hex()}"
    with new_file(folder, temporary, mode, owner) as file:
        yield file
    try:
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(FileNotFoundError):  # it has its name already
            os.unlink(temporary, dir_fd=folder)
        raise


def replace_in(folder: int, name: str, content: bytes, mode: int, owner: tuple[int, int] | None) -> None:
    """Make `content` the file `name` in the folder with the descriptor `folder`.

    It is on disk under that name when this returns. Raises OSError; the old file is then untouched.
    """
    with replacing(folder, name, mode, owner) as file:
        file.write(content)
    os.fsync(folder)


def write_hint(error: OSError) -> str:
    """What to try where a file can't be written."""
    return {
        errno.ENOSPC: msg("the disk is full; nothing was changed"),
        errno.EDQUOT: msg("this user's quota is used up; nothing was changed"),
        errno.EMFILE: msg("this process has too many files open: `ulimit -n` shows the limit"),
        errno.ENFILE: msg("this host has too many files open"),
        errno.EROFS: msg("the file system is read-only"),
        errno.EACCES: msg("check who owns the folder"),
        errno.EPERM: msg("check who owns the folder"),
    }.get(error.errno or 0, "")


def write_error(path: Path, error: OSError) -> OpsError:
    """What is to be told when `path` can't be written."""
    return OpsError(
        msg("cannot write {path}: {strerror}", path=path, strerror=error.strerror), write_hint(error)
    )


def read_error(path: Path, error: OSError, hint: str = "") -> OpsError:
    """What is to be told when `path` can't be read; `hint` is what to try."""
    return OpsError(msg("cannot read {path}: {strerror}", path=path, strerror=error.strerror), hint)


def keep_out_of_git(state: Path) -> None:
    """Give the state directory a .gitignore that covers everything in it, itself too, unless it has one.

    `git add -A` in a project would stage passwords and keys otherwise. Raises OpsError when it can't be
    written.
    """
    try:
        with opened(state, make=0o755) as folder:
            if GIT_IGNORE not in os.listdir(folder):  # noqa: PTH208 - by descriptor
                replace_in(folder, GIT_IGNORE, b"*\n", 0o644, None)
    except OSError as error:
        raise OpsError(
            msg("cannot write {state}: {strerror}", state=state / GIT_IGNORE, strerror=error.strerror),
            write_hint(error),
        ) from None


def open_file(path: Path, flags: int, mode: int = 0o644) -> int:
    """A descriptor of the regular file `path`, opened with `flags` but never through a link.

    Where root opens it for writing, in a folder that others may write, it must have this one name: it could
    be a file of root's that somebody gave a second one.
    Raises OpsError for anything but such a file, OSError for whatever else is wrong.
    """
    with opened(path.parent) as folder:
        try:
            # Without O_NONBLOCK a pipe that somebody put there would be waited for.
            flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(path.name, flags, mode, dir_fd=folder)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise _link(path) from None
            error.filename = str(path)  # it was opened by its name in the folder
            raise
        around = os.fstat(folder)
    facts = os.fstat(descriptor)
    writes = flags & (os.O_WRONLY | os.O_RDWR) and os.geteuid() == 0
    of_others = around.st_uid != 0 or bool(around.st_mode & 0o022)
    if not stat.S_ISREG(facts.st_mode) or (writes and of_others and facts.st_nlink != 1):
        os.close(descriptor)
        what = (
            msg("has more than one hard link")
            if stat.S_ISREG(facts.st_mode)
            else msg("is not a regular file")
        )
        raise OpsError(
            msg("{path} {what}, so it is not used", path=path, what=what),
            msg("find out who created that file, then remove the file"),
        )
    return descriptor


def _make_base(base: Path, mode: int) -> None:
    """Make the folder and what is missing above it; their names are on disk when this returns."""
    made = missing(base)
    if not made:
        return
    base.mkdir(mode=mode, parents=True, exist_ok=True)
    if os.geteuid() == 0:
        base.chmod(mode & ~_OTHERS_WRITE)  # root's umask must not keep out those as whom the services run
    for folder in made:
        descriptor = os.open(folder.parent, FOLDER)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _state(path: Path) -> Path | None:
    """The state directory that `path` is, or lies in."""
    parts = path.parts
    return Path(*parts[: parts.index(STATE_DIRECTORY) + 1]) if STATE_DIRECTORY in parts else None


def _split(path: Path) -> tuple[Path, tuple[str, ...]]:
    """The folder that is opened as it is named, and the names below it that are taken one by one."""
    state = _state(path)
    if os.geteuid() != 0 or state is None:
        return path, ()
    return state, path.relative_to(state).parts


def _enter(folder: int, names: tuple[str, ...], base: Path, mode: int | None) -> int:
    name, made = names[-1], False
    for attempt in (1, 2):
        try:
            descriptor = os.open(name, FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            if made and mode is not None:
                os.fchmod(descriptor, mode & ~_OTHERS_WRITE)  # whatever root's umask left of it
            return descriptor
        except FileNotFoundError:
            if mode is None or attempt == 2:
                raise
            try:
                os.mkdir(name, mode, dir_fd=folder)
                made = True
            except FileExistsError:
                continue
            os.fsync(folder)  # a file that is on disk in a folder that is not would be lost with it
        except OSError as error:
            error.filename = str(base.joinpath(*names))
            if error.errno not in _LINK_ERRORS:
                raise
            facts = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISLNK(facts.st_mode):
                raise
            if facts.st_uid != 0 or not may_be_link(names):
                raise _link(base.joinpath(*names)) from None
            return os.open(name, FOLDER, dir_fd=folder)
    raise AssertionError("the second attempt returns or raises")


def may_be_link(names: tuple[str, ...]) -> bool:
    """Whether the folder `names` below a state directory may be a link of root's, to another disk."""
    return names in {("data",), ("logs",)} or (len(names) == 2 and names[0] == "data")


def _own_link(base: Path) -> None:
    try:
        facts = base.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISLNK(facts.st_mode) and facts.st_uid != 0 and os.geteuid() == 0:
        raise _link(base)


def _link(path: Path) -> OpsError:
    return OpsError(
        msg("{path} is a symbolic link, which techsapo does not follow as root", path=path), _ELSEWHERE
    )
