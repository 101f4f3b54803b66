"""The copy of a backup in a second place, and with it what is too secret for the folder here."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from techsapo_ops.adapters.files import private_folder, write_atomic
from techsapo_ops.adapters.packed import PackedReader
from techsapo_ops.backup.describing import copied_path, describe, kit, paths_to_copy
from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.kinds.secret_files import secret_paths
from techsapo_ops.backup.repository import description
from techsapo_ops.backup.repository.create import create
from techsapo_ops.backup.repository.description import CopiedPath, What
from techsapo_ops.backup.repository.folder import Backup, Repository, repository_of
from techsapo_ops.backup.repository.manifest import SAFETY_TAG, Manifest
from techsapo_ops.backup.repository.origin import Keyring
from techsapo_ops.backup.repository.records import note_offsite, of_offsite
from techsapo_ops.backup.repository.restic import PART_TAG, Restic, project_tag, restic_of
from techsapo_ops.backup.repository.verify import faults
from techsapo_ops.backup.restore.copied import note_copies, noted_copies
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.stack.backup import BackupKind, Part
from techsapo_ops.stack.stack import Stack

NOT_ASKED_FOR = "not asked for"
"""Why a backup of some kinds alone has no more."""
AWAY = "offsite"
"""Name of the folder that is here only until restic has copied it, and its name in the repository."""


def copy_away(stack: Stack, away: Restic, backup: Backup) -> str:
    """Copy `backup` off-site, with the secrets that it does not hold: restic encrypts them; returns the
    snapshot's id.

    The result is noted. Raises OpsError where that fails; the backup here stays.
    """
    at = datetime.now(UTC).isoformat(timespec="seconds")
    repository = repository_of(stack)
    try:
        with _secret_copies(stack, backup) as copies:
            items = (*paths_to_copy(stack, backup), *_beside(kit(stack.layout), What.KIT))
            items += tuple(each for folder in copies for each in _beside(folder, What.COPIES))
            with _described(stack, backup, items) as described:
                paths = [*(Path(each.content) for each in items), *secret_paths(stack), described]
                tags = (project_tag(stack.spec.project), *(() if is_whole(backup) else (PART_TAG,)))
                snapshot = away.keep(backup.id, _outermost(paths), tags)
    except OpsError as error:
        repository.note(backup, "offsite", {"ok": False, "at": at, "problem": error.message})
        raise OpsError(
            msg(
                "backup {id} is complete on this host, but was not copied off-site: {message}",
                id=backup.id,
                message=error.message,
            ),
            error.hint,
        ) from None
    repository.note(backup, "offsite", {"ok": True, "at": at, "snapshot": snapshot})
    note_copies(stack, away, (*noted_copies(stack, away), backup.id))
    if "typed" not in of_offsite(stack.layout):  # from now on somebody has to know the password
        note_offsite(stack.layout, typed={"ok": False, "at": at})
    return snapshot


def is_whole(backup: Backup) -> bool:
    """Whether a backup has all that the stack had then, and is no safety copy of a restore."""
    manifest = backup.read()
    return manifest.tag != SAFETY_TAG and NOT_ASKED_FOR not in manifest.left_out.values()


def _beside(folder: Path, what: What) -> tuple[CopiedPath, ...]:
    item = copied_path(folder, what)
    return (item,) if item is not None else ()


def _outermost(paths: Sequence[Path]) -> list[Path]:
    """`paths` that are there, links resolved, each once and none that lies below another."""
    real = dict.fromkeys(path.resolve() for path in paths if path.exists())
    return [path for path in real if not any(parent in real for parent in path.parents)]


@contextmanager
def _described(stack: Stack, backup: Backup, items: tuple[CopiedPath, ...]) -> Iterator[Path]:
    """A folder with the description of what goes off-site."""
    with for_now(stack, description.FOLDER) as folder:
        write_atomic(folder / description.FILE, describe(stack, backup, items).text().encode(), 0o600)
        yield folder


@contextmanager
def _secret_copies(stack: Stack, backup: Backup) -> Iterator[tuple[Path, ...]]:
    """A folder with a backup of what is too secret to stay, here only until it is off-site; or none."""
    wanted = [kind.sources(stack) for kind in registry.kinds() if kind.too_secret]
    sources = [source for each in wanted if not isinstance(each, str) for source in each]
    if not sources:
        yield ()
        return
    with for_now(stack, AWAY) as folder:
        draft = Manifest.draft(stack.spec.project, stack.topology.engine)
        ring, began = Keyring(stack.layout.backup_keys), backup.read().started
        create(Repository(folder, ring), draft, sources, lambda: began)
        yield (folder,)


@contextmanager
def secret_copy(
    stack: Stack, backup: Backup, kind: BackupKind, copies: Path | None = None
) -> Iterator[tuple[Part, PackedReader]]:
    """What of `kind` went off-site with `backup`: here for the block alone, or in `copies` already.

    Raises OpsError where there is none, where it is not as it was written, or the repository can't be read.
    """
    if copies is not None:
        yield _part(stack, kind, copies, backup)
        return
    away = restic_of(stack)
    if away is None:
        title = f"{kind.title[0].upper()}{kind.title[1:]}"
        raise OpsError(
            msg("{title} is stored off-site only, and the spec has no backup.offsite", title=title),
            msg("set backup.offsite as it was when that backup was made"),
        )
    with for_now(stack, "offsite-back") as folder:
        yield _part(stack, kind, away.fetch(backup.id, AWAY, folder) or folder, backup)


def _part(stack: Stack, kind: BackupKind, copies: Path, backup: Backup) -> tuple[Part, PackedReader]:
    repository = Repository(copies, Keyring(stack.layout.backup_keys))
    copy = next(iter(repository.backups()), None)
    wrong = faults(copy, repository.origin(copy)) if copy is not None else []
    parts = copy.read().parts if copy is not None and not wrong else ()
    part = next((part for part in parts if part.source == kind.name), None)
    if part is None or copy is None:
        raise OpsError(
            joined(
                ": ",
                [
                    msg("{title} was not copied off-site with backup {id}", title=kind.title, id=backup.id),
                    *wrong,
                ],
            ),
            msg("`restic snapshots --tag {id}` lists what was copied", id=backup.id),
        )
    return part, copy.reader(part)


@contextmanager
def for_now(stack: Stack, name: str) -> Iterator[Path]:
    """A private folder in the state directory, gone after the block."""
    state = stack.layout.state
    folder = state / name
    if folder.exists():  # of a run that was killed
        shutil.rmtree(folder)
    private_folder(folder, state)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
