"""Restores a backup into throwaway servers, to look at what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from techsapo_ops.backup.kinds import registry
from techsapo_ops.backup.kinds.trial_room import require_room
from techsapo_ops.backup.restore.intent import Intent
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.engine import Scratch
from techsapo_ops.stack.stack import Stack


@contextmanager
def into_scratch(
    stack: Stack, intent: Intent, told: Callable[[str, int], None]
) -> Iterator[dict[str, Scratch]]:
    """Throwaway servers by kind that hold what the backup does; gone after the block. Raises OpsError."""
    parts = [(part, registry.of(part)) for part in intent.parts]
    held = [(part, kind) for part, kind in parts if kind.throwaway]
    if not held:
        part, kind = parts[0]
        look = kind.by_hand(intent.backup.folder / part.file)
        if kind.too_secret:
            look = msg("`restic restore latest --tag {id} --target FOLDER` fetches it", id=intent.backup.id)
        raise OpsError(msg("{kind} needs no server to be looked at", kind=kind.name), look)
    require_room(stack, [part for part, _ in held], at_once=True)
    with ExitStack() as servers:
        made: dict[str, Scratch] = {}
        for part, kind in held:
            reader = intent.backup.reader(part)
            made[part.kind] = servers.enter_context(
                kind.restored(stack, part, reader, partial(told, part.kind))
            )
            if intent.until is not None and kind.history is not None:
                kind.history.prepare(stack, part, intent.until)(made[part.kind])
        yield made
