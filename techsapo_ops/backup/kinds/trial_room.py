"""Whether there is room to restore a backup on trial, before anything is unpacked."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from techsapo_ops.adapters.resources import human, room
from techsapo_ops.backup.kinds import registry
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.backup import Part
from techsapo_ops.stack.stack import Stack

DOCKER = Path("/var/lib/docker")
"""Where a container's files are unless Docker was told otherwise; not to be seen from inside one."""


def require_room(stack: Stack, parts: Iterable[Part], *, at_once: bool) -> None:
    """Raise OpsError where throwaway servers with `parts` would not fit on the disk that they are on.

    `at_once`: all of them stand at the same time, not one after the other. What a part takes is reckoned
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
    except OSError:  # whoever unpacks there tells it better
        return
    if free < needed:
        raise OpsError(
            msg(
                "restoring it on trial needs about {needed} in {place}, {needed2} more than is free",
                needed=human(needed),
                place=place,
                needed2=human(needed - free),
            ),
            msg("make room there; `techsapo backup verify` without --deep needs none"),
        )


def _bytes(part: Part) -> int:
    kind = registry.find(part.source)
    return kind.trial_bytes(part) if kind is not None and kind.throwaway else 0
