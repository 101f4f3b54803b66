"""The applies of a stack and what each of them wanted: from the ledger alone, without the spec."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from techsapo_ops.apply.ledger import Ledger
from techsapo_ops.apply.ledger_entry import LedgerEntry
from techsapo_ops.apply.snapshot import Snapshot
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.engine import Engine
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.stack import Engines, Following, Leaves, Stack


@dataclass(frozen=True, slots=True)
class History:
    """What was applied to the stack of `layout`, and the engines that ran it.

    `user` is who works on it now, `pause` waits so many seconds, `following` is what follows in its services.
    """

    layout: Layout
    engines: Engines
    leaves: Leaves = lambda _: None
    user: str = ""
    pause: Callable[[float], None] = time.sleep
    following: Following = field(default_factory=Following)

    @classmethod
    def of(cls, stack: Stack) -> Self:
        """The history of an open stack."""
        return cls(stack.layout, stack.engines, stack.leaves, stack.user, stack.pause, stack.following)

    @property
    def ledger(self) -> Ledger:
        """Where it is kept."""
        return Ledger(self.layout.state)

    def choose(self, reference: str | None) -> LedgerEntry:
        """The apply to go back to: the one that `reference` names, or the last good one before the present.

        After an apply that failed or was killed half way, and was not gone back from, that is the present one
        itself. Raises OpsError when there is none, or for one that was no good.
        """
        ledger = self.ledger
        if reference is not None:
            entry = ledger.find(reference)
            if not entry.good:
                hint = (
                    msg("@{back_to} is what it went back to", back_to=entry.back_to)
                    if entry.back_to is not None
                    else ""
                )
                raise OpsError(msg("@{id} failed: there is no such state to go back to", id=entry.id), hint)
            return entry
        current = ledger.current()
        if not ledger.entries():
            raise OpsError(msg("nothing was applied yet"), msg("`techsapo up` does"))
        if current is None:
            raise OpsError(
                msg("there is no good state to go back to"), msg("`techsapo changes list` lists every apply")
            )
        if ledger.entries()[-1].result == "failed":
            return current
        before = ledger.before(current)
        if before is None:
            raise OpsError(
                msg("there is no good state before the present one, @{id}", id=current.id),
                msg("`techsapo changes list` lists every apply; `techsapo rollback @N` goes to any good one"),
            )
        return before

    def snapshot(self, entry: LedgerEntry) -> Snapshot:
        """The state of `entry`. Raises OpsError when the project was elsewhere: its paths are absolute."""
        snapshot = self.ledger.load_state(entry)
        recorded = snapshot.desired.topology.layout
        if recorded.state != self.layout.state:
            raise OpsError(
                msg(
                    "@{id} was applied when the project stood in {parent}",
                    id=entry.id,
                    parent=recorded.state.parent,
                ),
                msg("move it back there, or run `techsapo up`"),
            )
        return snapshot

    def engine(self, snapshot: Snapshot) -> Engine:
        """The engine that runs `snapshot`: another one than now where ports or passwords changed since."""
        return self.engines(snapshot.desired.topology)
