"""The applies of a stack and what each of them wanted, and the journal of one that was cut short."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Self

from techsapo_ops.apply.ledger import Ledger
from techsapo_ops.apply.ledger_entry import LedgerEntry
from techsapo_ops.apply.snapshot import Snapshot
from techsapo_ops.engines.opening import leaving_one_host
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.engine import Engine
from techsapo_ops.stack.journal import Entry, Journal, Operation
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

        After an apply that failed or was killed half way, and was not rolled back, that is the current one
        itself. Raises OpsError when there is none, or for one that failed.
        """
        ledger = self.ledger
        if reference is not None:
            entry = ledger.find(reference)
            if not entry.good:
                hint = (
                    msg(
                        "after that failure, the stack was rolled back to apply @{back_to}",
                        back_to=entry.back_to,
                    )
                    if entry.back_to is not None
                    else ""
                )
                raise OpsError(
                    msg("apply @{id} failed, so it is not possible to roll back to it", id=entry.id), hint
                )
            return entry
        current = ledger.current()
        if not ledger.entries():
            raise OpsError(msg("nothing was applied yet"), msg("run `techsapo up` first"))
        if current is None:
            raise OpsError(
                msg("there is no successful apply to roll back to"),
                msg("`techsapo changes list` lists every apply"),
            )
        if ledger.entries()[-1].result == "failed":
            return current
        before = ledger.before(current)
        if before is None:
            raise OpsError(
                msg("there is no successful apply before the current one, @{id}", id=current.id),
                msg(
                    "`techsapo changes list` lists every apply; `techsapo rollback @N` returns to any "
                    "successful one"
                ),
            )
        return before

    def snapshot(self, entry: LedgerEntry) -> Snapshot:
        """The state of `entry`. Raises OpsError when the project was elsewhere: its paths are absolute."""
        snapshot = self.ledger.load_state(entry)
        recorded = snapshot.desired.topology.layout
        if recorded.state != self.layout.state:
            raise OpsError(
                msg(
                    "at apply @{id}, the project was in {parent}",
                    id=entry.id,
                    parent=recorded.state.parent,
                ),
                msg("move the project back there, or run `techsapo up`"),
            )
        return snapshot

    def engine(self, snapshot: Snapshot) -> Engine:
        """The engine that runs `snapshot`: another one than now where ports or passwords changed since."""
        return self.engines(snapshot.desired.topology)


FILES, PREPARE, SERVICES, READ_BACK, BACK = "files", "prepare", "services", "read-back", "going-back"
_WORDS = {
    "": msg("before any file was written"),
    FILES: msg("while files were written"),
    PREPARE: msg("after the files were written"),
    SERVICES: msg("while services were changed"),
    READ_BACK: msg("while reading back the services"),
    BACK: msg("while rolling back"),
}


def apply_journal(layout: Layout) -> Journal[LedgerEntry]:
    """The journal of applies; its facts are the apply as it would be recorded if it ended now."""
    return Journal(layout, Operation.APPLY, LedgerEntry)


def under_way(layout: Layout) -> Entry[LedgerEntry] | None:
    """The apply that is under way, or was killed and is not in the ledger yet; changes nothing.

    None for a damaged entry too: it is written whole or not at all, and the next apply leaves nothing half.
    """
    try:
        return apply_journal(layout).read()
    except OpsError:
        return None


def record_interrupted(layout: Layout) -> LedgerEntry | None:
    """Record an apply that was killed as failed, and end its entry; None where there was none.

    One that was killed between its record and the end of its entry is in the ledger already.
    """
    journal, entry = apply_journal(layout), under_way(layout)
    recorded = None
    if entry is not None and all(each.id != entry.facts.id for each in Ledger(layout.state).entries()):
        seconds = journal.path.stat().st_mtime - entry.facts.time.timestamp()  # until it was last written
        recorded = replace(
            entry.facts, result="failed", reason=_interrupted(entry), seconds=max(0.0, seconds)
        )
        Ledger(layout.state).record(recorded)
    journal.end()
    return recorded


def _interrupted(entry: Entry[LedgerEntry]) -> str:
    where = _WORDS.get(entry.step, entry.step)
    if entry.step == SERVICES and not entry.done:
        where = msg("before the first service was changed")
    if entry.elsewhere:  # what was shared last is older than what happened there
        return msg("interrupted on {host}; last recorded state: {where}", host=entry.host, where=where)
    done = msg(" (done: {done})", done=", ".join(entry.done)) if entry.done else ""
    return msg("interrupted {where}{done}", where=where, done=done)


def may_run_on(layout: Layout) -> str:
    """The other host that may run the stack still, and alone: it was to move from there to several.

    "" where that is known to be over, or was here. What runs there can be seen from there alone.
    """
    if not leaving_one_host(layout):
        return ""
    entry = under_way(layout)
    return entry.elsewhere if entry is not None else ""


def require_left(layout: Layout) -> None:
    """Raise OpsError where a stack that was to move to several hosts may still run on another one alone."""
    if host := may_run_on(layout):
        raise OpsError(
            msg("the move of this stack from {host} to several hosts was interrupted: the stack may "
                "still be running on {host} alone",
                host=host),
            msg("to continue, run `techsapo up` on {host}, in the stack's folder. If {host} is lost for "
                "good, run `techsapo down` on this host, then `techsapo up`", host=host),
        )  # fmt: skip
