"""Every kind of data that is backed up: what each kind of service has, and the configuration.

What backup, verify, restore, a dry run, help, completion and doctor know of a kind comes from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from techsapo_ops.adapters.resources import human, room
from techsapo_ops.backup.kinds.config import ConfigBackup
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services import registry as services
from techsapo_ops.stack.backup import BackupKind, History, Part
from techsapo_ops.stack.stack import Stack

_OF_NO_SERVICE: list[BackupKind] = [ConfigBackup()]


def kinds() -> tuple[BackupKind, ...]:
    """Every kind, in the order in which they are listed."""
    return (*(backup for kind in services.kinds() if (backup := kind.backup()) is not None), *_OF_NO_SERVICE)


def names() -> tuple[str, ...]:
    """The words that `--only` takes."""
    return tuple(kind.name for kind in kinds())


def find(name: str) -> BackupKind | None:
    """The kind of that name; None for one that this techsapo does not know."""
    return next((kind for kind in kinds() if kind.name == name), None)


def of(part: Part) -> BackupKind:
    """The kind of a part of which it is known that there is one. Raises LookupError for another."""
    kind = find(part.source)
    if kind is None:
        raise LookupError(part.source)
    return kind


def histories() -> dict[str, History]:
    """How the data goes on after a backup, by kind, for the kinds of which any moment can be had."""
    return {kind.name: kind.history for kind in kinds() if kind.history is not None}


@contextmanager
def including(kind: BackupKind) -> Iterator[None]:
    """`kind` as one more, the last, for the length of a with block; for tests of the seam."""
    _OF_NO_SERVICE.append(kind)
    try:
        yield
    finally:
        _OF_NO_SERVICE.remove(kind)


def describe(part: Part) -> str:
    """What a part holds, in a few words; its size where this techsapo does not know the kind."""
    kind = find(part.source)
    return kind.describe(part) if kind is not None else human(part.raw_bytes)


DOCKER = Path("/var/lib/docker")
"""Where a container's files are unless Docker is configured otherwise; invisible from inside one."""


def require_room(stack: Stack, parts: Iterable[Part], *, at_once: bool) -> None:
    """Raise OpsError where throwaway servers with `parts` would not fit on the disk that they are on.

    `at_once`: all of them run at the same time, not one after the other. What a part takes is reckoned
    from its size when it was packed, so it is an estimate, and a generous one. Where that disk can't be seen
    from here, nothing is said.
    """
    sizes = [_bytes(part) for part in parts]
    needed = sum(sizes) if at_once else max(sizes, default=0)
    place = DOCKER if stack.topology.places.from_images else stack.layout.state
    if not needed or not place.exists():
        return
    try:
        free = room(place).free_bytes
    except OSError:  # unpacking there reports it better
        return
    if free < needed:
        raise OpsError(
            msg(
                "a trial restore needs about {needed} in {place}, {needed2} more than is free",
                needed=human(needed),
                place=place,
                needed2=human(needed - free),
            ),
            msg("free some space there; without --deep, `techsapo backup verify` needs no space"),
        )


def _bytes(part: Part) -> int:
    kind = find(part.source)
    return kind.trial_bytes(part) if kind is not None and kind.throwaway else 0
