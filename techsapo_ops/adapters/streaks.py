"""How operations on a store end, by what kind they are of: what one kind proves holds for no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

Operation = Literal["ping", "read", "write", "release"]
"""A store that answers a PING or a read may refuse to write: full, a replica, its last save failed, or an
account that lacks the command. A full one still lets go of what it has: a lock, a reservation."""
OnOperation = Callable[[Operation, bool], None]
"""Hears of each operation, whether it succeeded."""


def uncounted(_operation: Operation, _ok: bool) -> None:
    """Nobody hears of it."""


class Streaks:
    """How many operations failed in a row, of each kind since the last success of the same kind."""

    def __init__(self) -> None:
        self._failed: dict[Operation, int] = {}

    def note(self, operation: Operation, *, ok: bool) -> bool:
        """Take note of one; whether all was well before and is not now, or the other way round."""
        before = bool(self.failing)
        self._failed[operation] = 0 if ok else self._failed.get(operation, 0) + 1
        return before != bool(self.failing)

    @property
    def failing(self) -> frozenset[Operation]:
        """Those whose last one failed."""
        return frozenset(operation for operation, failed in dict(self._failed).items() if failed)

    @property
    def most(self) -> int:
        """The longest of them."""
        return max(dict(self._failed).values(), default=0)

    def counts(self) -> Mapping[Operation, int]:
        """By kind, of those that were tried."""
        return dict(self._failed)
