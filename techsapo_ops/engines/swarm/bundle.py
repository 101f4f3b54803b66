"""The state directory as one file, which travels between the machines."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.folders import GIT_IGNORE, opened
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.layout import (
    BACKUPS,
    DATA,
    EVIDENCE_FILE,
    EVIDENCE_FOLDER,
    KNOWLEDGE,
    LOCK,
    LOGS,
    PROOF_FOLDER,
    RECOVERY,
    RESTIC_CACHE,
    RUN,
    SCRATCH_FOLDER,
    SPEC_SEEN,
)

TRAVEL_NOTE = "travel.json"
"""Which bundle the state directory here was brought to last."""
SET_ASIDE = "set-aside"
"""Folder of what was changed here and could not be shared."""
_LOCAL = frozenset(
    {
        RUN, LOGS, DATA, SCRATCH_FOLDER, BACKUPS, RESTIC_CACHE, PROOF_FOLDER, RECOVERY, SET_ASIDE,
        TRAVEL_NOTE, SPEC_SEEN, KNOWLEDGE, LOCK, GIT_IGNORE,
    }
)  # fmt: skip
"""What of it is this host's own: locks, sockets, what can be made again, and what is too large: backups, and
what a recovery has fetched."""
_MOST = 64 << 20
_LARGEST = _MOST + 2 * tarfile.RECORDSIZE
"""With a tar's end."""
_TYPES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.DIRTYPE)
"""No links, devices or files with holes: a few bytes of those could be all of the memory here."""
_MODES = 0o777
"""What travels of a mode: nobody becomes another user by a file that a machine has made up."""
_FIXED = 0
"""Time of every file: the same content is the same bundle, whenever it was written."""


def pack(state: Path) -> bytes:
    """What travels of the state directory `state`, as a tar; the same content gives the same bytes.

    Raises OpsError where it is larger than a note of settings should ever be, naming what is large, and where
    something of it can't be read.
    """
    try:
        return _packed(state)
    except OSError as error:
        raise OpsError(
            msg("cannot read {path}: {strerror}", path=error.filename or state, strerror=error.strerror),
            msg("run techsapo as the owner of the folder"),
        ) from None


def _packed(state: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in travelling(state):
            entry = tarfile.TarInfo(path.relative_to(state).as_posix())
            entry.mtime = _FIXED
            if path.is_dir():
                entry.type, entry.mode = tarfile.DIRTYPE, path.stat().st_mode & _MODES
                tar.addfile(entry)
                continue
            content = path.read_bytes()
            entry.mode, entry.size = path.stat().st_mode & _MODES, len(content)
            tar.addfile(entry, io.BytesIO(content))
            if buffer.tell() > _MOST:
                raise OpsError(
                    msg("{state} holds more than {most} MB besides backups; one of the files is {path}",
                        state=state, most=_MOST >> 20, path=path),
                    msg("move files that do not belong to techsapo out of that folder"),
                )  # fmt: skip
    return buffer.getvalue()


def unpack(state: Path, content: bytes) -> None:
    """Bring what travels of `state` to a bundle: each file by a rename, then what is in none is removed.

    Killed in between, the next call goes on: `state` is not noted as up to date before its end. Raises
    OpsError for a bundle that holds anything that none of ours does, before anything of it is written, and
    where something can't be written.
    """
    entries = dict(_read(state, content))
    try:
        _bring(state, entries)
    except OSError as error:
        raise OpsError(
            msg("cannot update {state} from the other hosts: {error}", state=state, error=error),
            msg("run techsapo as the owner of the folder, and check that the disk is not full"),
        ) from None


def _bring(state: Path, entries: Mapping[Path, tuple[int, bytes | None]]) -> None:
    for path, (mode, held) in entries.items():
        if held is None:
            if path.is_symlink() or path.is_file():
                path.unlink()
            with opened(path, make=0o700) as descriptor:
                os.fchmod(descriptor, mode)
            continue
        if path.is_symlink():
            path.unlink()
        elif path.is_dir():
            shutil.rmtree(path)
        if not path.is_file() or path.read_bytes() != held:
            write_atomic(path, held, mode)
    for path in reversed(list(travelling(state))):
        if path in entries:
            continue
        if not path.is_dir():
            path.unlink()
        else:
            shutil.rmtree(path)  # with what of it does not travel, such as a certificate's links


def _read(state: Path, content: bytes) -> Iterator[tuple[Path, tuple[int, bytes | None]]]:
    """Mode and content of each file of a bundle, by its path here; a folder has no content."""
    inside = state.resolve()
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            for entry in tar:
                parts = PurePosixPath(entry.name).parts
                path = state.joinpath(*parts)
                if (
                    not parts
                    or ".." in parts
                    or parts[0] in _LOCAL
                    or parts[0].endswith(".lock")
                    or not _is_plain(entry)
                    or not path.resolve().is_relative_to(inside)
                ):
                    raise OpsError(
                        msg(
                            "the bundle of the state directory has an unknown format: it contains {name}",
                            name=repr(entry.name),
                        )
                    )
                file = tar.extractfile(entry)
                yield path, (entry.mode & _MODES, file.read() if file is not None else None)
    except tarfile.TarError as error:
        raise OpsError(msg("can't read the bundle of the state directory: {error}", error=error)) from None


def _is_plain(entry: tarfile.TarInfo) -> bool:
    return entry.type in _TYPES and not entry.issparse()


def digest(content: bytes) -> str:
    """By which a bundle is known."""
    return hashlib.sha256(content).hexdigest()


def travelling(state: Path) -> Iterator[Path]:
    """The folders and files of `state` that travel, folders before what is in them."""
    if not state.is_dir():
        return
    for top in sorted(state.iterdir()):
        if top.name in _LOCAL or top.name.endswith(".lock") or top.is_symlink():
            continue
        yield top
        if top.is_dir():
            for path in sorted(top.rglob("*")):
                own = path.suffix == ".lock" or path.parts[-2:] == (EVIDENCE_FOLDER, EVIDENCE_FILE)
                if not own and not path.is_symlink() and (path.is_dir() or path.is_file()):
                    yield path


def single(name: str, content: bytes) -> bytes:
    """A tar with one file, as `docker cp` takes it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.mode, entry.size = 0o600, len(content)
        tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def only_file(tar: bytes) -> bytes:
    """The content of the one file in a tar, as `docker cp` gives it.

    Nothing where it is anything else, or larger than a bundle.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
            for entry in archive:
                if not _is_plain(entry) or entry.size > _LARGEST:
                    return b""
                if entry.isfile():
                    file = archive.extractfile(entry)
                    return file.read() if file is not None else b""
    except tarfile.TarError:
        return b""
    return b""


EMPTY = single("nothing", b"")
"""What the image of a container that is never started is made from."""
