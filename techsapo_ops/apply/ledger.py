"""What was applied to a stack, when, by whom and how it went: one file an apply, contents by digest.

    <state>/ledger/000007.json       one apply
    <state>/ledger/objects/<sha256>  contents of files, and the snapshots that name them

Everything is readable by its owner alone, since rendered secrets are among the contents.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.folders import opened
from techsapo_ops.apply.ledger_entry import (
    LedgerEntry,
    entry_files,
    last_good,
    read_entry,
    unreadable,
    written_entry,
)
from techsapo_ops.apply.snapshot import Snapshot, file_entries, freeze, thaw
from techsapo_ops.backup.kinds.secret_files import made_secrets
from techsapo_ops.errors import OpsError
from techsapo_ops.masking.search import forms
from techsapo_ops.messages import msg
from techsapo_ops.spec.redact import written_secrets

MAX_ENTRIES = 50
"""Applies that the ledger holds, besides the last good one."""
STATES_WITH_SECRETS = 3
"""Good states, the current one included, that keep their secrets even where those have changed since."""
_REFERENCE = re.compile(r"@?(\d{1,12})")


class Ledger:
    """The ledger below the state directory `state`; see the module for its files."""

    def __init__(self, state: Path) -> None:
        self.folder = state / "ledger"
        self._objects = self.folder / "objects"

    def entries(self) -> tuple[LedgerEntry, ...]:
        """All applies that can be read, oldest first."""
        return tuple(entry for _, entry in self._read() if entry is not None)

    def damaged(self) -> tuple[Path, ...]:
        """Files of applies that can't be read; they are passed over."""
        return tuple(path for path, entry in self._read() if entry is None)

    def _read(self) -> list[tuple[Path, LedgerEntry | None]]:
        try:
            contents = [(path, _content(path)) for path in entry_files(self.folder)]
        except OSError as error:
            raise unreadable(self.folder, error) from None
        return [(path, read_entry(data)) for path, data in contents if data is not None]

    def next_id(self) -> int:
        """The number of the next apply; numbers are never given twice."""
        return max((int(path.stem) for path, _ in self._read()), default=0) + 1

    def current(self) -> LedgerEntry | None:
        """The last good apply: what the stack should be now. None before the first."""
        return last_good(self.folder)

    def before(self, entry: LedgerEntry) -> LedgerEntry | None:
        """The last good apply before `entry` whose state differs from it.

        A roll back counts as the apply that it restored, so that rolling back twice goes back twice instead
        of to and fro.
        """
        entries = {e.id: e for e in self.entries()}
        start = entry
        # Only ever back: a file that somebody wrote may name itself.
        while start.restores is not None and start.restores in entries and start.restores < start.id:
            start = entries[start.restores]
        earlier = [e for e in entries.values() if e.id < start.id and e.good and e.identity != entry.identity]
        return earlier[-1] if earlier else None

    def find(self, reference: str) -> LedgerEntry:
        """The apply that `@7` or `7` names: numbers as `techsapo changes list` shows them, fixed for ever.

        Raises OpsError (exit code 2) for anything else and for one that is not there.
        """
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise OpsError(
                msg("{reference} is not an apply", reference=repr(reference)),
                msg("write a number such as @7, as `techsapo changes list` shows it"),
                exit_code=2,
            )
        entries = self.entries()
        entry = next((e for e in entries if e.id == int(match[1])), None)
        if entry is None:
            there = (
                msg(
                    "the ledger has applies @{id} to @{entries_id}",
                    id=entries[0].id,
                    entries_id=entries[-1].id,
                )
                if entries
                else msg("nothing was applied yet")
            )
            raise OpsError(msg("there is no apply @{match}", match=match[1]), there, exit_code=2)
        return entry

    def keep(self, content: bytes) -> str:
        """Store `content` unless it is there already; returns its SHA-256."""
        digest = hashlib.sha256(content).hexdigest()
        path = self._objects / digest
        if not path.exists():
            self.make_folders()
            write_atomic(path, content, 0o600)
        return digest

    def content(self, digest: str) -> bytes:
        """What is stored under `digest`. Raises OpsError when it is gone or damaged."""
        try:
            data = (self._objects / digest).read_bytes()
        except OSError as error:
            raise OpsError(
                msg(
                    "object {digest} is missing from the ledger: {strerror}",
                    digest=digest[:12],
                    strerror=error.strerror,
                ),
                msg("it is not possible to roll back to this apply"),
            ) from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise OpsError(
                msg("object {digest} in the ledger is damaged", digest=digest[:12]),
                msg("it is not possible to roll back to this apply"),
            )
        return data

    def save_state(self, snapshot: Snapshot) -> str:
        """Store `snapshot` with all its files; returns the name for `load_state`."""
        return self.keep(freeze(snapshot, self.keep))

    def load_state(self, entry: LedgerEntry) -> Snapshot:
        """The snapshot of an apply.

        Raises OpsError when it is no longer kept, damaged, or of another version.
        """
        if not entry.state:
            raise OpsError(
                msg(
                    "the secrets have changed since apply @{id}, and its files were deleted: techsapo keeps "
                    "files with old secrets only for the last {states} states",
                    id=entry.id,
                    states=STATES_WITH_SECRETS,
                ),
                msg("put the values of that apply back into the spec, then run `techsapo up`"),
            )
        try:
            snapshot = thaw(self.content(entry.state), self.content)
            return snapshot.moved_to(self.folder.parent)
        except (ValueError, KeyError, TypeError) as error:
            raise OpsError(
                msg(
                    "this version can't read the record of apply @{id} ({error})",
                    id=entry.id,
                    error=error,
                ),
                msg("that record was written by techsapo {version}", version=entry.version),
            ) from None

    def record(self, entry: LedgerEntry) -> frozenset[str]:
        """Add one apply and forget the oldest beyond `MAX_ENTRIES`; ids of images that only those named."""
        self.make_folders()
        write_atomic(self._path(entry.id), written_entry(entry), 0o600)
        return self._prune()

    def make_folders(self) -> None:
        """The ledger's folders, for their owner alone."""
        try:
            for folder in (self.folder, self._objects):
                with opened(folder, make=0o700):
                    pass
        except OSError as error:
            raise OpsError(
                msg(
                    "cannot create the ledger {folder}: {strerror}",
                    folder=self.folder,
                    strerror=error.strerror,
                )
            ) from None

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.json"

    def _prune(self) -> frozenset[str]:
        entries = self.entries()
        good = self.current()
        keep = {entry.id for entry in entries[-MAX_ENTRIES:]} | ({good.id} if good is not None else set())
        gone = [entry for entry in entries if entry.id not in keep]
        for entry in gone:
            self._path(entry.id).unlink(missing_ok=True)
        self.sweep(self._forget_secrets([entry for entry in entries if entry.id in keep]))
        named = {image for entry in entries if entry.id in keep for image in entry.images.values()}
        return frozenset(image for entry in gone for image in entry.images.values()) - named

    def _forget_secrets(self, entries: Sequence[LedgerEntry]) -> tuple[str, ...]:
        """Forget the older snapshots with secrets that no new one has; returns the names of the others."""
        documents: dict[str, bytes] = {}
        for state in {entry.state for entry in entries if entry.state}:
            with suppress(OpsError):  # nobody can roll back to a damaged one, and `sweep` sees it
                documents[state] = self.content(state)
        near = self._near(entries)
        made = (secret.decode(errors="replace") for secret in made_secrets(self.folder.parent / "keys"))
        alive = Alive.of((documents[state] for state in near if state in documents), made)
        stale = {
            state
            for state, document in documents.items()
            if state not in near and alive.lacks(document, self.content)
        }
        for entry in entries:
            if entry.state in stale:
                write_atomic(self._path(entry.id), written_entry(replace(entry, state="")), 0o600)
        return tuple(entry.state for entry in entries if entry.state and entry.state not in stale)

    def _near(self, entries: Sequence[LedgerEntry]) -> frozenset[str]:
        """The states that a roll back without a number reaches: the newest good ones and those before."""
        near: list[LedgerEntry] = []
        for entry in reversed(entries):
            if entry.good and entry.identity not in {each.identity for each in near}:
                near.append(entry)
        near = near[:STATES_WITH_SECRETS]
        back = near[0] if near else None
        for _ in range(STATES_WITH_SECRETS - 1):
            back = self.before(back) if back is not None else None
            near += [back] if back is not None else []
        return frozenset(entry.state for entry in near)

    def sweep(self, states: Iterable[str]) -> None:
        """Delete every object that none of `states` names; nothing while one of them can't be read."""
        named: set[str] = set()
        for state in states:
            try:
                named.update((state, *(f["digest"] for f in file_entries(self.content(state)))))
            except (OpsError, ValueError, KeyError):
                return  # what it names is unknown: too much is better than too little
        for path in self._objects.iterdir():
            if path.name not in named:
                path.unlink(missing_ok=True)


def now() -> datetime:
    """The present, to the second, with a time zone."""
    return datetime.now(UTC).replace(microsecond=0)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # forgotten meanwhile, as one of the oldest
        return None


@dataclass(frozen=True, slots=True)
class Alive:
    """What the newest snapshots hold, values of secrets and digests of secret files: see decision 5."""

    values: frozenset[str] = frozenset()
    digests: frozenset[str] = frozenset()

    @classmethod
    def of(cls, documents: Iterable[bytes], made: Iterable[str]) -> Alive:
        """That of frozen snapshots, with the secrets that the tool `made` itself."""
        snapshots = [json.loads(document) for document in documents]
        values = {value for each in snapshots for value in _values(each)} | {value for value in made if value}
        digests = {f["digest"] for each in snapshots for f in each["files"] if f["secret"]}
        return cls(frozenset(values), frozenset(digests))

    def lacks(self, document: bytes, content: Callable[[str], bytes]) -> bool:
        """Whether a frozen snapshot has a secret that is not alive; `content` gives a file by its digest.

        A secret file is fine where it holds a secret that is alive: what is secret in any other is unknown.
        """
        value = json.loads(document)
        stale = _values(value) - self.values
        return bool(stale) or any(
            f["secret"] and f["digest"] not in self.digests and not self._within(content(f["digest"]))
            for f in value["files"]
        )

    def _within(self, text: bytes) -> bool:
        return any(form.encode() in text for value in self.values for form in forms(value))


def _values(value: Mapping[str, Any]) -> set[str]:
    specs = (value["spec"], value["given"]["spec"])
    return {*value["secrets"].values(), *(secret for spec in specs for secret in written_secrets(spec))}
