"""What is recorded of backups beside them: what was found out about them later, and which lie elsewhere.

Alerts and retention go by it, so it lies in the state directory: whoever may write the backups' folder could
else claim that all is well. What concerns the off-site repository has a file of its own, which stays when
`backup prune` removes the backups here.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.files import private_folder, remove_file, write_atomic
from techsapo_ops.adapters.folders import opened
from techsapo_ops.adapters.packed import cannot_write, open_plain
from techsapo_ops.backup.repository.manifest import SAFETY_TAG, Manifest
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack import shapes
from techsapo_ops.stack.layout import Layout

LEVEL = "offsite_deep"
"""Under which a look at an off-site copy is noted, and its level."""
_LONGEST = 4 * 1024 * 1024


def read(path: Path) -> dict[str, Any]:
    """The checks in the file `path`; those of another shape are left out.

    Of one backup they are `quick`, `deep`, `offsite`, `offsite_deep` and `shrunk`. Empty where there is no
    such file, or none that can be read: then they are to be made anew.
    """
    try:
        with open_plain(path) as file:
            checks = json.loads(file.read(_LONGEST))
    except (OSError, ValueError, RecursionError):  # never checked, or torn by a full disk
        return {}
    if not isinstance(checks, dict):
        return {}
    return {key: value for key, value in checks.items() if key in _SHAPES and _SHAPES[key](value)}


def write(path: Path, checks: dict[str, Any]) -> None:
    """Replace the file `path`. Raises OpsError."""
    try:
        with opened(path.parent, make=0o700):
            pass
    except OSError as error:
        raise cannot_write(path.parent, error) from None
    write_atomic(path, (json.dumps(checks, ensure_ascii=False, indent=1) + "\n").encode(), 0o600)


def of_offsite(layout: Layout) -> dict[str, Any]:
    """What is known of the off-site copies.

    The `last` look at one, the last `good` one, when all of the repository was `read` last, which copies were
    `there` then, and when a person last typed its password: `typed` is not `ok` before the first time, and
    dates from the first copy then.
    """
    return read(_offsite(layout))


def note_offsite(layout: Layout, **checks: Mapping[str, Any]) -> None:
    """Add to that. Raises OpsError where it can't be written."""
    write(_offsite(layout), {**of_offsite(layout), **checks})


def _offsite(layout: Layout) -> Path:
    return layout.backup_checks / "offsite.json"


def _moment(value: Any) -> bool:
    try:
        return shapes.text(value) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


_PART = shapes.has(
    kind=shapes.text,
    seconds=shapes.number,
    problems=shapes.listed(shapes.text),
)
_LOOKED = shapes.has(ok=shapes.flag, at=_moment, parts=shapes.listed(_PART))
"""The shape of a look at a backup."""
_SHAPES = {
    "quick": _LOOKED,
    "deep": _LOOKED,
    "offsite_deep": _LOOKED,
    "offsite": shapes.has(ok=shapes.flag, at=_moment),
    "shrunk": shapes.has(ok=shapes.flag, at=_moment),
    "last": _LOOKED,
    "good": _LOOKED,
    "read": shapes.has(ok=shapes.flag, at=_moment),
    "there": shapes.has(place=shapes.sha256, ids=shapes.listed(shapes.text)),
    "typed": shapes.has(ok=shapes.flag, at=_moment),
}


@dataclass(frozen=True, slots=True)
class Place:
    """A backup, and who has it: `host` as it calls itself, `folder` that of its backups there."""

    id: str
    host: str
    folder: str
    begun: str
    sources: tuple[str, ...]
    bytes: int
    tag: str

    @property
    def safety(self) -> bool:
        """Whether a restore made it of what was there before."""
        return self.tag == SAFETY_TAG

    @property
    def started(self) -> datetime:
        """When it was begun."""
        return datetime.fromisoformat(self.begun)


class Places:
    """Notes in the folder `noted`, which travels between the machines, of the backups of all of them.

    `here` is the folder of the backups of this one.
    """

    def __init__(self, noted: Path, here: Path) -> None:
        self._noted = noted
        self._host, self._folder = socket.gethostname(), str(here.absolute())

    def elsewhere(self) -> tuple[Place, ...]:
        """Those that others have, oldest first; a note that can't be read is passed over."""
        return tuple(p for p in self._all() if (p.host, p.folder) != (self._host, self._folder))

    def require_here(self, word: str, known: Collection[str]) -> None:
        """Raise OpsError where `word`, an id, the beginning of one or `latest`, is of a backup that another
        host has, and of none of `known`.
        """
        if any(each.startswith(word) for each in known):
            return
        others = [p for p in self.elsewhere() if (word == "latest" and not p.safety) or p.id.startswith(word)]
        if others:
            raise not_here(others[-1], self._folder)

    def require_newest(self, chosen: Manifest) -> None:
        """Raise OpsError where another host has a backup that was begun after `chosen`, the newest here."""
        newer = [p for p in self.elsewhere() if p.started > chosen.started and not p.safety]
        if newer:
            error = not_here(newer[-1], self._folder)
            message = msg(
                "{message}, and is newer than backup {id} on this host", message=error.message, id=chosen.id
            )
            raise OpsError(
                message, msg("{hint}; or specify the backup by its id", hint=error.hint), exit_code=2
            )

    def note(self, manifests: Iterable[Manifest]) -> None:
        """Let the notes of this host be of these backups. Raises OpsError where one can't be written."""
        private_folder(self._noted, self._noted.parent)
        known = {manifest.id: manifest for manifest in manifests}
        for id_, manifest in known.items():
            place = Place(
                id_, self._host, self._folder, manifest.started.isoformat(), tuple(manifest.kinds),
                manifest.bytes, manifest.tag,
            )  # fmt: skip
            content = (json.dumps(asdict(place)) + "\n").encode()
            path = self._noted / f"{id_}.{self._host}.json"
            if not path.exists() or path.read_bytes() != content:
                write_atomic(path, content, 0o600)
        for place in self._all():
            if (place.host, place.folder) == (self._host, self._folder) and place.id not in known:
                remove_file(self._noted / f"{place.id}.{place.host}.json")

    def lost(self, host: str) -> tuple[Place, ...]:
        """Forget the backups of a host that is gone for good; those that it had, oldest first.

        Raises OpsError where a note can't be removed.
        """
        gone = []
        for path in sorted(self._noted.glob("*.json")):
            place = _read(path)
            if place is None or place.host != host:
                continue
            try:
                remove_file(path)
            except OSError as error:
                raise cannot_write(path, error) from None
            gone.append(place)
        return tuple(sorted(gone, key=lambda place: (place.started, place.id)))

    def _all(self) -> tuple[Place, ...]:
        places = [_read(path) for path in sorted(self._noted.glob("*.json"))]
        return tuple(sorted((p for p in places if p is not None), key=lambda p: (p.started, p.id)))


def not_here(place: Place, folder: str) -> OpsError:
    """The error for a backup that only another host has; `folder` is where backups are here."""
    return OpsError(
        msg("backup {id} is on {host}, in {there}", id=place.id, host=place.host, there=place.folder),
        msg("run this command on that host, or copy the backup's folder into {folder}", folder=folder),
        exit_code=2,
    )


def places_of(layout: Layout, here: Path) -> Places:
    """Of the stack with that state directory, whose backups here are in `here`."""
    return Places(layout.state / "backup-places", here)


def _read(path: Path) -> Place | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        place = Place(**{**value, "sources": tuple(value["sources"])})
        return place if place.started.tzinfo is not None else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
