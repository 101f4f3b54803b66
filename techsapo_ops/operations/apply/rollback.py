"""Goes back to an earlier apply: from the ledger alone, without the spec or the templates of then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from techsapo_ops.errors import OpsError
from techsapo_ops.operations.apply.changes import ChangeKind, edited_error
from techsapo_ops.operations.apply.journal import Journal
from techsapo_ops.operations.apply.ledger import Entry, Ledger
from techsapo_ops.operations.apply.snapshot import Snapshot
from techsapo_ops.operations.apply.stop import locked
from techsapo_ops.operations.apply.transaction import Applied, Change, Tools, apply
from techsapo_ops.operations.apply.up import StackPlan, compare, require_applied
from techsapo_ops.stack.layout import Layout


@dataclass(frozen=True, slots=True)
class RollbackReport:
    """Where a roll back went and how. `applied.entry` is its own record, None when nothing differed."""

    target: Entry
    plan: StackPlan
    applied: Applied


def choose(ledger: Ledger, reference: str | None) -> Entry:
    """The apply to go back to: the one that `reference` names, or the last good one before the present.

    After an apply that failed or was killed half way, and was not gone back from, that is the present one
    itself. Raises OpsError when there is none, or for one that was no good.
    """
    if reference is not None:
        entry = ledger.find(reference)
        if not entry.good:
            hint = f"@{entry.back_to} is what it went back to" if entry.back_to is not None else ""
            raise OpsError(f"@{entry.id} failed: there is no such state to go back to", hint)
        return entry
    current = ledger.current()
    if current is None:
        raise OpsError("there is no good state to go back to", "`techsapo history` lists every apply")
    if ledger.entries()[-1].result == "failed":
        return current
    before = ledger.before(current)
    if before is None:
        raise OpsError(
            f"there is no good state before the present one, @{current.id}",
            "`techsapo history` lists every apply; `techsapo rollback @N` goes to any good one",
        )
    return before


def load(ledger: Ledger, entry: Entry, layout: Layout) -> Snapshot:
    """The state of `entry`. Raises OpsError when the project stood elsewhere then: its paths are absolute."""
    snapshot = ledger.load_state(entry)
    recorded = snapshot.desired.topology.layout
    if recorded.state != layout.state:
        raise OpsError(
            f"@{entry.id} was applied when the project stood in {recorded.state.parent}",
            "move it back there, or run `techsapo up`",
        )
    return snapshot


def rollback(
    layout: Layout,
    reference: str | None,
    tools: Tools,
    *,
    approve: Callable[[Entry, StackPlan], bool],
    wait: float = 0.0,
    force: bool = False,
) -> RollbackReport | None:
    """Bring the stack back to an earlier apply as one transaction; None when `approve` refused the plan.

    Data is left as it is. Raises OpsError when there is nothing to go back to, the lock is taken, a file was
    edited by hand (unless `force`), or for a failure that is no service's.
    """
    ledger = Ledger(layout.state)
    if not ledger.folder.is_dir():
        raise OpsError("nothing was applied yet", "`techsapo up` does")
    with locked(layout, wait):
        interrupted = Journal(ledger).recover()
        if interrupted is not None:
            tools.listener.say(f"@{interrupted.id} was {interrupted.reason}")
        target = choose(ledger, reference)
        snapshot = load(ledger, target, layout)
        current = ledger.current()
        engine = tools.engines(snapshot)
        leaves = None
        if current is not None and current.engine != snapshot.desired.topology.engine:
            leaves = tools.engines(load(ledger, current, layout))
        plan = compare(snapshot, engine, proof=tools.proof)
        if plan.changes and not approve(target, plan):
            return None
        edited = [c for c in plan.files if c.kind is ChangeKind.EDITED]
        if edited and not force:
            raise edited_error(edited, layout.config)
        change = Change(
            snapshot,
            engine,
            plan.files,
            plan.steps,
            plan.observed,
            "rollback",
            force=force,
            interrupted=interrupted is not None,
            restores=target.id,
            leaves=leaves,
        )
        applied = apply(change, tools)
        require_applied(applied)
        return RollbackReport(target, plan, applied)
