"""The folder of the backups: one folder a backup, which has its name only once it is whole."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from techsapo_ops.adapters.files import sync_directory, write_atomic
from techsapo_ops.adapters.folders import open_file, opened, read_error
from techsapo_ops.adapters.lock import MODE, exclusive
from techsapo_ops.adapters.packed import PackedReader, cannot_write, open_plain
from techsapo_ops.backup.repository import manifest as manifests
from techsapo_ops.backup.repository import records
from techsapo_ops.backup.repository.description import NewerError
from techsapo_ops.backup.repository.manifest import SAFETY_TAG, Manifest
from techsapo_ops.backup.repository.origin import MAC, Keyring, Origin, State
from techsapo_ops.backup.repository.records import Place, Places, places_of
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.backup import Part
from techsapo_ops.stack.layout import BACKUPS

if TYPE_CHECKING:
    from techsapo_ops.stack.stack import Stack

MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
"""Digests of a backup's files but the MAC, as `sha256sum -c` reads them."""
PARTIAL = ".partial"
REMOVED = ".removed"
_ID = re.compile(r"\d{8}T\d{6}Z(-\d+)?")


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup that is whole. `manifest` is None where it can't be read, and then `damage` says why."""

    id: str
    folder: Path
    manifest: Manifest | None
    damage: str = ""
    digest: str = ""
    """SHA-256 of the bytes of manifest.json that `manifest` was read from."""
    newer: bool = False
    """Whether it can't be read because a newer techsapo wrote it."""

    def reader(self, part: Part) -> PackedReader:
        """What a part of it holds: no more than the manifest says, its end only with its digest."""
        return PackedReader(self.folder / part.file, limit=part.raw_bytes, expected=part.sha256)

    @property
    def sequence(self) -> int:
        """Its place in the order of backups; damaged ones come first."""
        return self.manifest.sequence if self.manifest is not None else -1

    def read(self) -> Manifest:
        """Its manifest. Raises OpsError where that is damaged, as NewerError where it is too new."""
        if self.manifest is None:
            kind = NewerError if self.newer else OpsError
            raise kind(self.damage, msg("choose another backup: `techsapo backup list`"))
        return self.manifest


@dataclass(frozen=True, slots=True)
class Repository:
    """The backups below `path`; `keyring` knows whose they are, and new ones get their MAC by it.

    `noted` is a folder that nobody else may write, for what was found out about them; `places` knows those
    that other hosts have.
    """

    path: Path
    keyring: Keyring | None = None
    noted: Path | None = None
    places: Places | None = None

    def lock(self, wait: float = 0.0) -> AbstractContextManager[object]:
        """Be the only one that writes here. Raises OpsError naming who does already, or why nobody may."""
        self._make(self.path)
        file = self.path / ".lock"
        try:
            os.close(open_file(file, os.O_RDWR | os.O_CREAT, MODE))
        except OSError as error:  # here the hint is another than at other locks
            raise cannot_write(self.path, error) from None
        return exclusive(file, wait=wait)

    def backups(self) -> tuple[Backup, ...]:
        """Every whole backup, oldest first: by sequence, so that a clock set back changes nothing."""
        try:
            folders = [p for p in self.path.iterdir() if _ID.fullmatch(p.name) and p.is_dir()]
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise read_error(self.path, error, msg("check who owns it")) from None
        return tuple(sorted(map(_backup, folders), key=lambda b: (b.sequence, b.id)))

    def find(self, word: str = "latest") -> Backup:
        """The backup that `word` means: `latest`, an id, or the beginning of one.

        Raises OpsError where there is none, or more than one: exit code 2 for a word that names none.
        """
        known = self.backups()
        if self.places is not None and (not known or word != "latest"):
            self.places.require_here(word, {b.id for b in known})
        if not known:
            raise OpsError(
                msg("there is no backup in {path}", path=self.path),
                msg("`techsapo backup` makes a backup"),
                exit_code=1 if word == "latest" else 2,
            )
        if word == "latest":
            whole = [b for b in known if b.manifest is not None]
            if not whole:
                raise OpsError(
                    msg("every backup in {path} is damaged", path=self.path),
                    msg("`techsapo backup` makes a new backup"),
                )
            # What a restore put aside is not what anyone wants back or verified, but by its id.
            return next((b for b in reversed(whole) if b.read().tag != SAFETY_TAG), whole[-1])
        matches = [b for b in known if b.id == word] or [b for b in known if b.id.startswith(word)]
        if len(matches) != 1:
            raise OpsError(
                msg("{count} backups begin with {word}", count=len(matches), word=word)
                if matches
                else msg("there is no backup {word}", word=word),
                msg("`techsapo backup list` shows all backups"),
                exit_code=2,
            )
        return matches[0]

    def unreadable_after(self, backup: Backup) -> tuple[Backup, ...]:
        """The backups that were begun after `backup`, by their ids, and whose manifest can't be read."""
        return tuple(b for b in self.backups() if b.manifest is None and b.id > backup.id)

    def begin(self, now: datetime) -> tuple[str, Path, int]:
        """Id, folder and sequence of a new backup; what killed ones left is removed first.

        The caller holds the lock. Raises OpsError where the folder can't be made.
        """
        self._make(self.path)
        try:
            for stale in (*self.path.glob(f"*{PARTIAL}"), *self.path.glob(f"*{REMOVED}")):
                _erase(stale)
        except OSError as error:
            raise cannot_write(Path(error.filename or self.path), error) from None
        known = self.backups()
        name = stamp(now)
        taken = {b.id for b in known}
        number = 2
        while name in taken:
            name = f"{stamp(now)}-{number}"
            number += 1
        partial = self.path / f"{name}{PARTIAL}"
        self._make(partial)
        # One that somebody planted may have the last number that there is; then ids order them.
        highest = max((b.sequence for b in known), default=0)
        return name, partial, min(highest + 1, manifests.LAST_SEQUENCE)

    def commit(self, partial: Path, manifest: Manifest) -> Backup:
        """Give the finished folder its name; from then on it is a backup."""
        folder = self.path / manifest.id
        data = manifest.text().encode()
        manifests.read(data, MANIFEST)  # what could not be read again is no backup
        write_atomic(partial / MANIFEST, data, 0o600)
        digest = hashlib.sha256(data).hexdigest()
        if self.keyring is not None:
            write_atomic(partial / MAC, self.keyring.mac(data), 0o600)
        write_atomic(partial / SUMS, sums_of(manifest, digest).encode(), 0o600)
        try:
            sync_directory(partial)
            os.rename(partial, folder)  # noqa: PTH104 - fails on a target that is there, as it must
            sync_directory(self.path)
        except OSError as error:
            raise cannot_write(folder, error) from None
        return Backup(manifest.id, folder, manifest, digest=digest)

    def make_key(self) -> bool:
        """Make the key of the manifests where there is none; True where it was made now.

        The caller holds the lock. Raises OpsError.
        """
        return self.keyring is not None and self.keyring.make()

    def origin(self, backup: Backup) -> Origin:
        """Whose backup this is. Raises OpsError where the keys can't be read."""
        data, damage = _bytes(backup.folder / MANIFEST)
        if data is None:
            return Origin(State.TAMPERED, damage)
        if hashlib.sha256(data).hexdigest() != backup.digest:
            return Origin(State.TAMPERED, msg("the manifest changed while it was being read"))
        if self.keyring is None:
            return Origin(State.UNAUTHENTICATED, msg("this host has no backup key"))
        return self.keyring.origin(backup.folder, data)

    def ours(self) -> tuple[Backup, ...]:
        """The backups that can be read and that this stack wrote, or somebody vouched for; oldest first.

        Raises OpsError where the keys can't be read.
        """
        return tuple(b for b in self.backups() if b.manifest is not None and self.origin(b).ours)

    def compared(self) -> tuple[tuple[Manifest, ...], frozenset[str]]:
        """What a backup is compared with, see backup.shrinking: the manifests that are ours, oldest first,
        without what restores put aside, and the ids of those that were accepted though they had shrunk.
        """
        known = [b for b in self.ours() if b.read().tag != manifests.SAFETY_TAG]
        accepted = frozenset(b.id for b in known if b.read().shrunk and "shrunk" in self.checks(b))
        return tuple(b.read() for b in known), accepted

    def accept(self, backup: Backup) -> None:
        """Vouch for a backup that has no MAC, or one by a key that is not here: it gets one by ours.

        The caller holds the lock. Raises OpsError for one whose MAC says that it was changed.
        """
        self.make_key()
        origin = self.origin(backup)
        if origin.ours:
            return
        data, damage = _bytes(backup.folder / MANIFEST)
        changed = data is None or hashlib.sha256(data).hexdigest() != backup.digest
        if changed or origin.state is State.TAMPERED or backup.manifest is None:
            raise OpsError(
                msg(
                    "backup {id} can't be accepted: {damage}",
                    id=backup.id,
                    damage=damage or backup.damage or origin.why,
                ),
                msg("choose another backup: `techsapo backup list`"),
            )
        if data is not None and self.keyring is not None:
            write_atomic(backup.folder / MAC, self.keyring.mac(data), 0o600)

    def abandon(self, partial: Path) -> None:
        """Remove what a failed backup has written."""
        shutil.rmtree(partial, ignore_errors=True)  # the next one removes what is left

    def remove(self, backup: Backup) -> None:
        """Remove a backup: it loses its name first, so that half of one never looks like one."""
        gone = self.path / f"{backup.id}{REMOVED}"
        try:
            backup.folder.rename(gone)
            sync_directory(self.path)
            _erase(gone)
            if self.noted is not None:
                self._own(backup, self.noted).unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(backup.folder, error) from None

    def checks(self, backup: Backup) -> dict[str, Any]:
        """What was found out about `backup`: `quick`, `deep` and `offsite`, as they were written."""
        return self.checks_of(backup.id)

    def of_others(self) -> tuple[Place, ...]:
        """The backups that other hosts have, oldest first, without those that are here or were put aside."""
        if self.places is None:
            return ()
        here = {backup.id for backup in self.backups()}
        return tuple(p for p in self.places.elsewhere() if p.id not in here and not p.safety)

    def checks_of(self, name: str) -> dict[str, Any]:
        """What was found out about a backup that may be on another host."""
        return records.read(self.noted / f"{name}.json") if self.noted is not None else {}

    def note(self, backup: Backup, key: str, value: dict[str, Any]) -> None:
        """Write down what was found out. Raises OpsError."""
        if self.noted is not None:
            records.write(self._own(backup, self.noted), {**self.checks(backup), key: value})

    def _own(self, backup: Backup, noted: Path) -> Path:
        return noted / f"{backup.id}.json"

    def _make(self, folder: Path) -> None:
        try:
            with opened(folder, make=0o700):
                pass
        except OSError as error:
            raise cannot_write(folder, error) from None


def repository_of(stack: Stack) -> Repository:
    """Where the backups of a stack are."""
    named, layout = stack.spec.backup.path, stack.layout
    path = stack.directory / Path(named).expanduser() if named is not None else layout.state / BACKUPS
    places = places_of(layout, path) if stack.topology.places.state_travels else None
    return Repository(path, Keyring(layout.backup_keys), layout.backup_checks, places)


def sums_of(manifest: Manifest, digest: str) -> str:
    """The content of SHA256SUMS; `digest` is that of manifest.json."""
    return "".join(
        f"{each}  {name}\n"
        for name, each in (
            *((part.file, part.sha256) for part in manifest.parts),
            (MANIFEST, digest),
        )
    )


def stamp(now: datetime) -> str:
    """A time as in ids and file names: 20260131T020000Z."""
    return now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _erase(path: Path) -> None:
    """Remove a folder with what is in it; of a link, that somebody planted, the link alone."""
    if path.is_symlink() or not path.is_dir():
        path.unlink()
    else:
        shutil.rmtree(path)


def _backup(folder: Path) -> Backup:
    path = folder / MANIFEST
    data, damage = _bytes(path)
    if data is None:
        return Backup(folder.name, folder, None, damage)
    digest = hashlib.sha256(data).hexdigest()
    try:
        manifest = manifests.read(data, str(path))
    except OpsError as error:
        return Backup(folder.name, folder, None, error.message, digest, newer=isinstance(error, NewerError))
    if manifest.id != folder.name:
        return Backup(
            folder.name,
            folder,
            None,
            msg("{path} belongs to another backup, {id}", path=path, id=manifest.id),
            digest,
        )
    return Backup(folder.name, folder, manifest, digest=digest)


def _bytes(path: Path) -> tuple[bytes | None, str]:
    """What a manifest's file holds, or None and why it can't be read."""
    try:
        with open_plain(path) as file:
            data = file.read(manifests.LONGEST + 1)
    except OSError as error:
        return None, msg("cannot read {path}: {strerror}", path=path, strerror=error.strerror)
    if len(data) > manifests.LONGEST:
        return None, msg("{path} is damaged: it is too large", path=path)
    return data, ""
