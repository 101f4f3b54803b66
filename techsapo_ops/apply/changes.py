"""What writing rendered files would change on disk, and what changed between an earlier apply and now."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from techsapo_ops.adapters.files import own_mode
from techsapo_ops.adapters.written import Manifest, digest, read_manifest
from techsapo_ops.apply.history import History
from techsapo_ops.apply.ledger_entry import LedgerEntry
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.desired import Desired, RenderedFile
from techsapo_ops.stack.layout import Layout


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
    changed = [change for file in files if (change := _compare(file, directory, manifest)) is not None]
    for path, written in manifest.files.items():
        if path in wanted:
            continue
        content = read_content(directory / path)
        if content is None:
            continue
        kind = ChangeKind.REMOVED if manifest.owns(path, content) else ChangeKind.EDITED
        changed.append(FileChange(path, kind, unified_diff(path, content, b"", secret=written.secret)))
    return tuple(sorted(changed, key=lambda change: change.path))


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


@dataclass(frozen=True, slots=True)
class FileDifference:
    """One file: `kind` is added, changed or removed since; `diff` never shows a secret."""

    path: str
    kind: str
    diff: str


@dataclass(frozen=True, slots=True)
class ServiceDifference:
    """One service, and what became of it since, in words."""

    service: str
    what: str


@dataclass(frozen=True, slots=True)
class Difference:
    """All that differs between the apply `since` and now; `now` is the last good apply."""

    since: LedgerEntry
    now: LedgerEntry
    files: tuple[FileDifference, ...]
    services: tuple[ServiceDifference, ...]


def difference(history: History, reference: str | None) -> Difference:
    """Compare an apply (by default the last good one before the present) with the files as they are now.

    Raises OpsError where there is no such apply, or its files are no longer kept.
    """
    ledger = history.ledger
    since = history.choose(reference)
    current = ledger.current()
    assert current is not None, "choose found a good one"  # noqa: S101 - a mistake of ours, no input
    old, new = ledger.load_state(since).desired, ledger.load_state(current).desired
    files = tuple(_files(since, old, history.layout))
    return Difference(since, current, files, tuple(_services(old, new)))


def _files(since: LedgerEntry, old: Desired, layout: Layout) -> Iterator[FileDifference]:
    manifest = read_manifest(layout.config)
    before = {file.path: file for file in old.files}
    for path in sorted({*before, *manifest.files}):
        file = before.get(path)
        content = read_content(layout.config / path)
        was = file.content.encode() if file is not None else None
        if was == content:
            continue
        kind = "added" if was is None else "removed" if content is None else "changed"
        written = manifest.files.get(path)
        secret = (file is not None and file.secret) or (written is not None and written.secret)
        diff = unified_diff(
            path, was or b"", content or b"", secret=secret, before=f"@{since.id}", after="now"
        )
        yield FileDifference(path, kind, diff)


def _services(old: Desired, new: Desired) -> Iterator[ServiceDifference]:
    before = {s.name for s in old.topology.services}
    after = {s.name for s in new.topology.services}
    moved = tuple(dict.fromkeys(topology.engine for topology in (old.topology, new.topology)))
    if len(moved) > 1:
        yield ServiceDifference("stack", msg("engine {moved}", moved=" → ".join(moved)))
    for name in sorted(before - after):
        yield ServiceDifference(name, "removed")
    for name in sorted(after - before):
        yield ServiceDifference(name, "added")
    for unit in new.units:
        was = old.unit(unit.service)
        if was is not None and (what := unit.differs_from(was)):
            yield ServiceDifference(unit.service, what)
