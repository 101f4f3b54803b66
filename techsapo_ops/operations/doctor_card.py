"""Whether the recovery card that was printed still says what holds."""

from __future__ import annotations

from collections.abc import Iterator

from techsapo_ops.messages import msg
from techsapo_ops.operations.card.facts import card_of, facts_to_compare, printed
from techsapo_ops.stack.diagnosis import HostFinding, Level
from techsapo_ops.stack.stack import Stack

_PRINT = msg("`techsapo recover card` prints it; keep it away from this host")


def look_at_card(stack: Stack) -> Iterator[HostFinding]:
    """That none was printed, or what has changed since; nothing for a stack without a second place."""
    if stack.spec.backup.offsite is None:
        return
    known = printed(stack)
    if known is None:
        yield HostFinding("backups", "recovery card", Level.NOTE, msg("none was printed yet"), _PRINT)
        return
    at, before = known
    now = facts_to_compare(card_of(stack))
    other = [name.replace("_", " ") for name in now if before.get(name) != now[name]]
    if other:
        said = msg(
            "the one of {at:%Y-%m-%d} is out of date: {other}", at=at.astimezone(), other=", ".join(other)
        )
        yield HostFinding("backups", "recovery card", Level.WARNING, said, _PRINT)
