"""Whose a backup is: its manifest, which names the digest of every part, carries a MAC of this stack.

The MAC is over the bytes of manifest.json, and so lies in a file of its own.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from techsapo_ops.adapters.files import make_once
from techsapo_ops.adapters.folders import read_error
from techsapo_ops.adapters.mac import mac, same
from techsapo_ops.adapters.packed import cannot_write, open_plain
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

MAC = "manifest.mac"
"""Name of the file with the MAC, in the folder of a backup."""
KEY = "key.json"
"""Name of the key of new backups; every other `*.json` beside it is a key to know others by."""
_KEY_BYTES = 32
_LONGEST_MAC = 200
_LONGEST_KEY = 64 * 1024


class State(StrEnum):
    """What is known of a backup's origin."""

    AUTHENTICATED = "authenticated"
    UNAUTHENTICATED = "unauthenticated"
    """It has no MAC, or one by a key that is not here: anybody may have written it."""
    TAMPERED = "tampered"


@dataclass(frozen=True, slots=True)
class Origin:
    """A backup's origin and the reason."""

    state: State
    why: str = ""

    @property
    def ours(self) -> bool:
        """Whether this stack wrote it, or somebody vouched for it here; of any other nothing is used."""
        return self.state is State.AUTHENTICATED


@dataclass(frozen=True, slots=True)
class _Key:
    value: bytes = field(repr=False)

    @property
    def id(self) -> str:
        return mac(self.value, "backup key id").hex()[:16]

    def mac(self, manifest: bytes) -> str:
        return mac(self.value, "backup manifest", manifest).hex()


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys in the folder `folder`, which only this stack's user reads."""

    folder: Path

    def make(self) -> bool:
        """Make the key where there is none; True where this call made it.

        Of two who make it at once one does. Raises OpsError where it can't be written.
        """
        path = self.folder / KEY
        if os.path.lexists(path):
            return False
        value = secrets.token_bytes(_KEY_BYTES)
        noted = {
            "version": 1,
            "about": "techsapo recognises its own backups by this key. Keep it; a copy is off-site.",
            "id": _Key(value).id,
            "key": value.hex(),
        }
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from None
        return make_once(path, (json.dumps(noted, indent=1) + "\n").encode())

    def mac(self, manifest: bytes) -> bytes:
        """The content of manifest.mac. Raises OpsError where there is no key yet, or it can't be read."""
        path = self.folder / KEY
        if not os.path.lexists(path):
            raise OpsError(msg("{folder} does not exist", folder=path), msg("`techsapo backup` creates it"))
        key = _read_key(path)
        return f"1 {key.id} {key.mac(manifest)}\n".encode()

    def origin(self, folder: Path, manifest: bytes) -> Origin:
        """The origin of the backup in `folder`, whose manifest.json holds `manifest`.

        Raises OpsError where the keys can't be read.
        """
        try:
            named = _mac_of(folder)
        except ValueError:
            return Origin(State.TAMPERED, msg("{mac} holds no MAC", mac=MAC))
        if named is None:
            return Origin(State.UNAUTHENTICATED, msg("it has no MAC"))
        key = next((key for key in self._every() if key.id == named[0]), None)
        if key is None:
            about = msg("its MAC was made with another key, {named}, which is missing here", named=named[0])
            return Origin(State.UNAUTHENTICATED, about)
        if same(named[1], key.mac(manifest)):
            return Origin(State.AUTHENTICATED)
        return Origin(
            State.TAMPERED,
            msg(
                "the manifest does not match its MAC: key {id} did not authenticate this manifest", id=key.id
            ),
        )

    def _every(self) -> Iterator[_Key]:
        try:
            paths = sorted(path for path in self.folder.glob("*.json") if path.name[0] != ".")
        except OSError as error:
            raise OpsError(
                msg("cannot read {folder}: {strerror}", folder=self.folder, strerror=error.strerror),
                msg("run this command as a user who can read it"),
            ) from None
        for path in paths:
            yield _read_key(path)


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
    try:
        with open_plain(path) as file:
            facts = os.fstat(file.fileno())
            if facts.st_uid not in {0, os.geteuid()} or stat.S_IMODE(facts.st_mode) & 0o022:
                raise OpsError(
                    msg("{path} belongs to another user, or others can write to it", path=path),
                    msg("check the file's content, then run `chmod 600 {path}`", path=path),
                )
            value = bytes.fromhex(json.loads(file.read(_LONGEST_KEY))["key"])
    except OSError as error:
        raise read_error(path, error, msg("run the command as the user who made the backups")) from None
    except (KeyError, TypeError, ValueError, RecursionError):
        value = b""
    if len(value) != _KEY_BYTES:
        raise OpsError(
            msg("{path} is damaged: it holds no key", path=path),
            msg(
                "get the key back from off-site (docs/backup.md), or move the file away: techsapo then makes "
                "a new key"
            ),
        )
    return _Key(value)
