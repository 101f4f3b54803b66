"""Files of API keys that come back: merged with what is here, so that no key works that was revoked since."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.adapters.chain import Chain
from techsapo_ops.adapters.folders import opened
from techsapo_ops.adapters.lock import exclusive
from techsapo_ops.adapters.nofollow import NoFollowFile
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.app.rendered_spec import keys_file
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stores.key_endings import Endings, ended, endings_of, merged, recorded_endings, sooner
from techsapo_ops.stores.keys import ApiKey, keys_in, text_of

if TYPE_CHECKING:
    from techsapo_ops.spec.models import Spec

_LOCK_SECONDS = 5


def key_files(layout: Layout, *specs: Spec) -> tuple[Path, ...]:
    """Every file of API keys that the stack may use by one of `specs`, without links on the way.

    That of the last one is the last.
    """
    # In the place of the stack's own a link is refused, as any other; what a spec names may be one.
    own = layout.api_keys.parent.resolve() / layout.api_keys.name
    named = (keys_file(spec, layout) for spec in specs)
    found = [own, *(own if path == layout.api_keys else path.resolve() for path in named)]
    return tuple(reversed(dict.fromkeys(reversed(found))))


@contextmanager
def alone_with_keys(path: Path) -> Iterator[None]:
    """Be the only techsapo at work on the file of keys `path`. Raises OpsError after some seconds."""
    with opened(path.parent, make=0o755):
        pass
    with exclusive(path.with_suffix(".lock"), wait=_LOCK_SECONDS, waits=False):
        yield


def known_endings(layout: Layout, files: Iterable[Path]) -> Endings:
    """What the record of administration and the files of keys say. Raises OpsError for a record that can't be
    read; a file that can't says nothing, and opens nothing.
    """
    recorded = recorded_endings(Chain(layout.administration).read())
    return sooner(recorded, *(endings_of(_here(NoFollowFile(path))) for path in files))


def require_keys(content: bytes, path: Path) -> None:
    """Raise OpsError where `content`, of a backup and for the file `path`, is no file of API keys."""
    if _keys(content, path) is None:
        raise OpsError(
            msg("what the backup has for {path} is not a file of API keys\nnothing was touched", path=path),
            msg("choose another one"),
        )


def put_keys(
    place: NoFollowFile,
    content: bytes,
    endings: Endings,
    mode: int,
    owner: tuple[int, int] | None,
    *,
    since: float = 0.0,
) -> None:
    """Write `content`, of a backup, merged with the keys that are there and were made from `since` on.

    `since` is in seconds of the clock. What is no file of keys comes back as it is: it opens nothing. Raises
    OpsError.
    """
    back = _keys(content, place.path) or ()
    with alone_with_keys(place.path):
        here = _here(place)
        endings = sooner(endings, endings_of(here))
        whole = merged(back, (k for k in here if k.created.timestamp() >= since), endings)
        place.put(io.BytesIO(content if whole == back else text_of(whole).encode()), mode, owner)
        if _here(place) != whole:
            raise OpsError(
                msg("{path} is not what was written into it", path=place.path),
                msg("`techsapo keys list` tells more; look for another program that writes there"),
            )


def keys_at(path: Path) -> tuple[ApiKey, ...]:
    """The keys of a file; none where it is not there, or none of ours. Raises OpsError."""
    return _here(NoFollowFile(path.parent.resolve() / path.name))


def change_keys(path: Path, change: Callable[[tuple[ApiKey, ...]], tuple[ApiKey, ...]]) -> None:
    """Write what `change` makes of the keys of a file, where there are any. Raises OpsError."""
    place = NoFollowFile(path)
    here = _here(place)
    if change(here) == here:  # no lock is left beside a file that stays
        return
    with alone_with_keys(path):
        here, facts = _here(place), place.look()
        whole = change(here)
        if facts is not None and whole != here:
            place.put(io.BytesIO(text_of(whole).encode()), facts.st_mode, (facts.st_uid, facts.st_gid))


def end_keys(layout: Layout, spec: Spec) -> None:
    """Let no key work, by `spec`, longer than the record of administration and the files of keys say.

    Raises OpsError.
    """
    files = key_files(layout, spec)
    if any(keys_at(path) for path in files):
        endings = known_endings(layout, files)
        for path in files:
            change_keys(path, lambda keys: ended(keys, endings))


def _here(place: NoFollowFile) -> tuple[ApiKey, ...]:
    if place.look() is None:
        return ()
    content = io.BytesIO()
    place.copy_to(content)
    return _keys(content.getvalue(), place.path) or ()


def _keys(content: bytes, path: Path) -> tuple[ApiKey, ...] | None:
    try:
        return keys_in(content.decode(), path)
    except (OpsError, UnicodeDecodeError):
        return None
