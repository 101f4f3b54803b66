"""Where a backup comes from: its manifest, which names the digest of every part, carries a MAC of this stack.

The MAC is over the bytes of manifest.json, and so lies in a file of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.files import make_once, write_atomic
from techsapo_ops.adapters.mac import mac, same
from techsapo_ops.adapters.packed import cannot_write, open_plain
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

MAC = "manifest.mac"
"""Name of the file with the MAC, in the folder of a backup."""
KEY = "key.json"
"""Name of the key of new backups; every other `*.json` beside it is a key to know older ones by."""
ACCEPTED = "accepted.json"
"""Backups without a MAC that somebody vouched for, by id, with the digest of their manifests."""
_KEY_BYTES = 32
_LONGEST_MAC = 200
_LONGEST_KEY = 64 * 1024 * 1024


class State(StrEnum):
    """What is known of a backup's origin."""

    AUTHENTICATED = "authenticated"
    UNAUTHENTICATED = "unauthenticated"
    """It is older than the key, so nothing tells who wrote it."""
    TAMPERED = "tampered"


@dataclass(frozen=True, slots=True)
class Origin:
    """A backup's origin and the reason; `acceptable` where somebody may vouch for it: no MAC denies that."""

    state: State
    why: str = ""
    acceptable: bool = False


@dataclass(frozen=True, slots=True)
class _Key:
    value: bytes = field(repr=False)
    known: Mapping[str, str]

    @property
    def id(self) -> str:
        return mac(self.value, "backup key id").hex()[:16]

    def mac(self, manifest: bytes) -> str:
        return mac(self.value, "backup manifest", manifest).hex()


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys in the folder `folder`, which only this stack's user reads."""

    folder: Path

    def make(self, known: Mapping[str, str]) -> bool:
        """Make the key where there is none; True where this call made it.

        `known` are the backups that there are already, by id, with the digest of their manifests: they are
        older than the key, and no other backup ever is. Of two who make it at once one does. Raises OpsError
        where it can't be written.
        """
        path = self.folder / KEY
        if os.path.lexists(path):
            return False
        value = secrets.token_bytes(_KEY_BYTES)
        noted = {
            "version": 1,
            "about": "By this key techsapo knows the backups that it made. Keep it; a copy is off-site.",
            "id": _Key(value, {}).id,
            "key": value.hex(),
            "known": dict(known),
        }
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from None
        return make_once(path, (json.dumps(noted, indent=1) + "\n").encode())

    def made(self) -> bool:
        """Whether there is a key."""
        return os.path.lexists(self.folder / KEY)

    def mac(self, manifest: bytes) -> bytes:
        """The content of manifest.mac. Raises OpsError where there is no key yet, or it can't be read."""
        key = self._current()
        if key is None:
            raise OpsError(
                msg("{folder} is not there", folder=self.folder / KEY), msg("`techsapo backup` makes it")
            )
        return f"1 {key.id} {key.mac(manifest)}\n".encode()

    def origin(self, id_: str, folder: Path, manifest: bytes | None) -> Origin:
        """The origin of the backup `id_` in `folder`, whose manifest.json holds `manifest`.

        Raises OpsError where the keys can't be read.
        """
        if manifest is None:
            return Origin(State.TAMPERED, msg("its manifest can't be read"))
        keys = {key.id: key for key in self._every()}
        try:
            named = _mac_of(folder)
        except ValueError:
            return Origin(State.TAMPERED, msg("{mac} holds no MAC", mac=MAC))
        if named is not None and (key := keys.get(named[0])) is not None:
            if same(named[1], key.mac(manifest)):
                return Origin(State.AUTHENTICATED)
            return Origin(
                State.TAMPERED,
                msg("the MAC of its manifest is wrong: it is not what {id} was given", id=key.id),
            )
        current = self._current()
        about = (
            msg("its MAC is by another key, {named}, which is not here", named=named[0])
            if named is not None
            else msg("it has no MAC")
        )
        if current is None:
            return Origin(State.UNAUTHENTICATED, msg("{about}, and there is no key here yet", about=about))
        digest = hashlib.sha256(manifest).hexdigest()
        if (was := current.known.get(id_)) is not None:
            if was == digest:
                before = (
                    msg("older than the key")
                    if named is None
                    else msg("made with another key, {named}, which is not here", named=named[0])
                )
                return Origin(State.UNAUTHENTICATED, before)
            return Origin(State.TAMPERED, msg("its manifest is another than when the key was made"))
        if (accepted := self._accepted().get(id_)) is not None:
            if accepted == digest:
                return Origin(State.UNAUTHENTICATED, msg("{about}; it was accepted by hand", about=about))
            return Origin(State.TAMPERED, msg("its manifest is another than when it was accepted"))
        return Origin(
            State.TAMPERED,
            msg("{about}, though it was not there when the key was made", about=about),
            acceptable=True,
        )

    def accept(self, id_: str, manifest: bytes) -> None:
        """Note down that somebody vouches for the backup `id_` as it is now. Raises OpsError."""
        noted = {**self._accepted(), id_: hashlib.sha256(manifest).hexdigest()}
        write_atomic(self.folder / ACCEPTED, (json.dumps(noted, indent=1) + "\n").encode(), 0o600)

    def _current(self) -> _Key | None:
        path = self.folder / KEY
        return _read_key(path) if os.path.lexists(path) else None

    def _every(self) -> Iterator[_Key]:
        try:
            paths = sorted(p for p in self.folder.glob("*.json") if p.name != ACCEPTED and p.name[0] != ".")
        except OSError as error:
            raise OpsError(
                msg("cannot read {folder}: {strerror}", folder=self.folder, strerror=error.strerror),
                msg("run it as a user who may"),
            ) from None
        for path in paths:
            yield _read_key(path)

    def _accepted(self) -> Mapping[str, str]:
        path = self.folder / ACCEPTED
        return _strings(_read(path), path) if os.path.lexists(path) else {}


def _mac_of(folder: Path) -> tuple[str, str] | None:
    """Key id and MAC of manifest.mac; None where there is none. Raises ValueError for any other file."""
    try:
        with open_plain(folder / MAC) as file:
            text = file.read(_LONGEST_MAC).decode("ascii")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(str(error)) from None
    form, id_, mac = text.removesuffix("\n").split(" ")
    if form != "1":
        raise ValueError(form)
    return id_, mac


def _read_key(path: Path) -> _Key:
    found = _read(path)
    try:
        value = bytes.fromhex(found["key"])
    except (KeyError, TypeError, ValueError):
        value = b""
    if len(value) != _KEY_BYTES:
        raise OpsError(
            msg("{path} is damaged: it holds no key", path=path),
            msg("get it back from off-site (docs/backup.md), or move it away: then a new key is made"),
        )
    return _Key(value, _strings(found.get("known", {}), path))


def _read(path: Path) -> dict[str, Any]:
    try:
        with open_plain(path) as file:
            facts = os.fstat(file.fileno())
            if facts.st_uid not in {0, os.geteuid()} or stat.S_IMODE(facts.st_mode) & 0o022:
                raise OpsError(
                    msg("{path} is another user's, or others may write it", path=path),
                    msg("look at it, then `chmod 600 {path}`", path=path),
                )
            found = json.loads(file.read(_LONGEST_KEY))
    except OSError as error:
        raise OpsError(
            msg("cannot read {path}: {strerror}", path=path, strerror=error.strerror),
            msg("run it as the user who made the backups"),
        ) from None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise OpsError(
            msg("{path} is damaged", path=path),
            msg("get it back from off-site (docs/backup.md), or move it away"),
        )
    return found


def _strings(found: object, path: Path) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise OpsError(
            msg("{path} is damaged", path=path),
            msg("get it back from off-site (docs/backup.md), or move it away"),
        )
    return found
