"""What writing rendered files would change on disk."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from techsapo_ops.adapters.files import own_mode
from techsapo_ops.adapters.written import Manifest, digest, read_manifest
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.desired import RenderedFile


class ChangeKind(StrEnum):
    """How a file on disk differs from the wanted one."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    EDITED = "edited"
    """It differs, and not by our hand: it is kept unless forced."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file that differs. `diff` is unified; of a file with secrets it says only that it differs."""

    path: str
    kind: ChangeKind
    diff: str
    modes: tuple[int, int] | None = None
    """Its mode as it is and as it should be, where nothing else differs."""


def changes(files: Sequence[RenderedFile], directory: Path) -> tuple[FileChange, ...]:
    """Compare `files` with what is below `directory`, sorted by path.

    A file that differs and whose content we did not write counts as edited, also where we wrote none:
    what stands in our way may be someone's work. Raises OpsError when a file can't be read.
    """
    manifest = read_manifest(directory)
    wanted = {file.path: file for file in files}
    found = [change for file in files if (change := _compare(file, directory, manifest)) is not None]
    for path, written in manifest.files.items():
        if path in wanted:
            continue
        content = read_content(directory / path)
        if content is None:
            continue
        kind = ChangeKind.REMOVED if manifest.owns(path, content) else ChangeKind.EDITED
        found.append(FileChange(path, kind, unified_diff(path, content, b"", secret=written.secret)))
    return tuple(sorted(found, key=lambda change: change.path))


def _compare(file: RenderedFile, directory: Path, manifest: Manifest) -> FileChange | None:
    path = directory / file.path
    content = read_content(path)
    new = file.content.encode()
    if content is None:
        return FileChange(file.path, ChangeKind.ADDED, unified_diff(file.path, b"", new, secret=file.secret))
    if digest(content) == file.digest:
        mode = own_mode(path)
        if mode == file.mode:
            return None
        note = msg("mode {mode:04o} → {file_mode:04o}\n", mode=mode, file_mode=file.mode)
        return FileChange(file.path, ChangeKind.CHANGED, note, (mode, file.mode))
    known = manifest.files.get(file.path)
    secret = file.secret or (known is not None and known.secret)
    kind = ChangeKind.CHANGED if manifest.owns(file.path, content) else ChangeKind.EDITED
    return FileChange(file.path, kind, unified_diff(file.path, content, new, secret=secret))


def read_content(path: Path) -> bytes | None:
    """Content of a file; None where there is none. Raises OpsError for what is no readable file."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise OpsError(msg("cannot read {path}: {strerror}", path=path, strerror=error.strerror)) from None


def unified_diff(
    path: str, old: bytes, new: bytes, *, secret: bool, before: str = "on disk", after: str = "generated"
) -> str:
    """The lines that differ, with what `before` and `after` are; of a file with secrets none."""
    if secret:
        return msg("holds a secret: content not shown\n")
    lines = difflib.unified_diff(_lines(old), _lines(new), f"{path} ({before})", f"{path} ({after})")
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _lines(content: bytes) -> list[str]:
    return content.decode(errors="replace").splitlines(keepends=True)


def edited_error(edited: Sequence[FileChange], directory: Path) -> OpsError:
    """The error that names hand-edited files."""
    names = "\n".join(f"  {os.fspath(directory / change.path)}" for change in edited)
    return OpsError(
        msg("edited by hand, so nothing was written:\n{names}", names=names),
        msg(
            "`techsapo config generate --check --diff` shows the edits; move them into the spec or a "
            "template (`techsapo config templates eject`), or overwrite them with `techsapo config generate "
            "--force`"
        ),
    )
