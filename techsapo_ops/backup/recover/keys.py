"""The API keys of a recovery: those that will work, and that none does which was revoked before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from techsapo_ops.adapters.chain import Chain, reading_of
from techsapo_ops.apply.administration import recorded
from techsapo_ops.backup.kinds.secret_files import change_keys, key_files, keys_at
from techsapo_ops.backup.repository.description import CopiedPath, What
from techsapo_ops.backup.repository.restic import AwaySnapshot, Restic
from techsapo_ops.backup.restore.copied import Copied
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stores.key_endings import (
    REVOKE,
    Endings,
    ended,
    endings_of,
    ends_of,
    recorded_endings,
    sooner,
)
from techsapo_ops.stores.keys import ApiKey, keys_in

_FIELD = "app.auth.keys_file"


def later_endings(restic: Restic, newest: AwaySnapshot | None, warn: Callable[[str], None]) -> Endings:
    """What the newest copy knows of revoked keys, where an older one is recovered.

    `warn` gets the reason where it can't be read.
    """
    if newest is None:
        return {}
    endings: list[Endings] = []
    for folder, name in (("administration", Chain.RECORD), ("api-keys", "keys.json")):
        place = newest.place(folder)
        if not place:  # a stack without keys
            continue
        try:
            content = restic.content(newest.id, f"{place}/{name}")
            endings.append(
                recorded_endings(reading_of(content))
                if folder == "administration"
                else endings_of(keys_in(content.decode(errors="replace"), Path(place) / name))
            )
        except OpsError as error:
            warn(
                msg(
                    "API keys revoked after this copy may become valid again, because the newest copy can't "
                    "be read: {message}",
                    message=error.message,
                )
            )
    return sooner(*endings)


def copied_endings(copied: Copied) -> Endings:
    """What the copy itself knows: its record of administration, and its files of keys. Raises OpsError."""
    records = [Chain(copied.at(item.content)).read() for item in copied.description.of(What.ADMINISTRATION)]
    files = [endings_of(keys_at(_file(copied, item))) for item in _key_paths(copied)]
    return sooner(*map(recorded_endings, records), *files)


def working(copied: Copied, spec: Spec, endings: Endings) -> tuple[ApiKey, ...]:
    """The keys of the copy that will work, by the spec that is placed. Raises OpsError."""
    named = spec.app.auth.keys_file is not None
    files = [_file(copied, item) for item in _key_paths(copied) if (item.field == _FIELD) is named]
    return _active(key for file in files for key in ended(keys_at(file), endings))


def working_now(layout: Layout, spec: Spec) -> tuple[ApiKey, ...]:
    """The keys of the stack that work."""
    return _active(iter(keys_at(key_files(layout, spec)[-1])))


def settle(
    layout: Layout, spec: Spec, endings: Endings, warn: Callable[[str], None], *, revoke_all: bool
) -> None:
    """Let no key that is placed work longer than `endings` says; with `revoke_all` none at all.

    That is recorded first, so that no later restore brings one of them back. Raises OpsError.
    """
    files = key_files(layout, spec)
    for path in files:
        change_keys(path, lambda keys: ended(keys, endings))
    if not revoke_all:
        return
    now = datetime.now(UTC).replace(microsecond=0)
    gone = [replace(key, revoked=now) for path in files for key in keys_at(path) if key.revoked is None]
    if gone:
        with recorded(layout, REVOKE, {"which": "recover --revoke-all-keys", **ends_of(gone)}, warn):
            for path in files:
                change_keys(path, lambda keys: ended(keys, endings_of(gone)))


def _key_paths(copied: Copied) -> Iterator[CopiedPath]:
    yield from copied.description.of(What.API_KEYS)
    yield from (item for item in copied.description.of(What.FILE) if item.field == _FIELD)


def _file(copied: Copied, item: CopiedPath) -> Path:
    path = copied.at(item.content)
    return path / "keys.json" if item.folder else path


def _active(keys: Iterator[ApiKey]) -> tuple[ApiKey, ...]:
    now = datetime.now(UTC)
    return tuple(key for key in keys if key.state(now) == "active")
