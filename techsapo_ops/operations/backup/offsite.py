"""The copy of a backup in a second place, and with it what is too secret for the folder here."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from techsapo_ops.adapters.files import private_folder
from techsapo_ops.backup.manifest import Part
from techsapo_ops.backup.offsite import Restic
from techsapo_ops.backup.repository import Backup
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.backup.sources import Stack, grafana_source, restic, secret_paths
from techsapo_ops.services import sqlite

_AWAY = "offsite"
"""Name of the folder that is here only until restic has copied it, and its name in the repository."""


def copy_away(stack: Stack, away: Restic, backup: Backup) -> None:
    """Copy `backup` off-site, with the secrets that it does not hold: restic encrypts them.

    The result is noted beside the backup. Raises OpsError where that fails; the backup here stays.
    """
    at = datetime.now(UTC).isoformat(timespec="seconds")
    paths = [backup.folder, stack.topology.layout.spec_file, *secret_paths(stack)]
    try:
        with _grafana(stack, backup) as copies:
            snapshot = away.keep(backup.id, [path for path in (*paths, *copies) if path.exists()])
    except OpsError as error:
        stack.repository.note(backup, "offsite", {"ok": False, "at": at, "problem": error.message})
        raise OpsError(
            f"the backup {backup.id} is whole here, but not off-site: {error.message}", error.hint
        ) from None
    stack.repository.note(backup, "offsite", {"ok": True, "at": at, "snapshot": snapshot})


@contextmanager
def _grafana(stack: Stack, backup: Backup) -> Iterator[tuple[Path, ...]]:
    """A copy of Grafana's database, which holds password hashes: here only until it is off-site."""
    source = grafana_source(stack)
    if isinstance(source, str):
        yield ()
        return
    with _for_now(stack, _AWAY) as folder:
        source.take(folder, backup.id, lambda _: None)
        yield (folder,)


@contextmanager
def grafana_copy(stack: Stack, backup: Backup) -> Iterator[tuple[Path, Part]]:
    """The copy of Grafana's database that went off-site with `backup`: here for the block alone.

    Raises OpsError where there is none, or where the repository can't be read.
    """
    away = restic(stack)
    if away is None:
        raise OpsError(
            "Grafana's database is off-site alone, and the spec has no backup.offsite",
            "set backup.offsite as it was when that backup was made",
        )
    with _for_now(stack, "offsite-back") as folder:
        if not away.fetch(backup.id, _AWAY, folder):
            raise OpsError(
                f"no copy of Grafana's database went off-site with {backup.id}",
                f"`restic snapshots --tag {backup.id}` shows what did",
            )
        (path,) = folder.glob("grafana-*.sqlite.zst")
        yield path, sqlite.described("grafana", path, folder)


@contextmanager
def _for_now(stack: Stack, name: str) -> Iterator[Path]:
    """A private folder in the state directory, gone after the block."""
    state = stack.topology.layout.state
    folder = state / name
    if folder.exists():  # of a run that was killed
        shutil.rmtree(folder)
    private_folder(folder, state)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
