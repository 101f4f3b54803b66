"""Goes back to an earlier apply: from the ledger alone, without the spec or the templates of then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from techsapo_ops.apply.app_start import require_app_starts
from techsapo_ops.apply.changes import ChangeKind, edited_error
from techsapo_ops.apply.environment import change_of
from techsapo_ops.apply.history import History
from techsapo_ops.apply.journal import record_interrupted
from techsapo_ops.apply.ledger_entry import LedgerEntry
from techsapo_ops.apply.outcome import Applied, Listener
from techsapo_ops.apply.plan import Purpose, StackPlan, plan
from techsapo_ops.apply.transaction import Transaction
from techsapo_ops.apply.up import require_applied
from techsapo_ops.backup.kinds.key_files import end_keys
from techsapo_ops.engines.at_work import at_work
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.services.lost_data import lost_data
from techsapo_ops.stack.journal import Operation, require_ended


@dataclass(frozen=True, slots=True)
class RollbackReport:
    """Where a roll back went and how. `applied.entry` is its own record, None when nothing differed."""

    target: LedgerEntry
    plan: StackPlan
    applied: Applied


def rollback(
    history: History,
    reference: str | None,
    listener: Listener,
    *,
    approve: Callable[[LedgerEntry, StackPlan], bool],
    wait: float = 0.0,
    force: bool = False,
) -> RollbackReport | None:
    """Bring the stack back to an earlier apply as one transaction; None when `approve` refused the plan.

    `reference` is for `History.choose`. Data is left as it is. Raises OpsError when there is nothing to go
    back to, the lock is taken, data is gone, the app of then could not start, a file was edited by hand
    (unless `force`), a restore was interrupted, which is undone first, or for a failure that is no service's.
    """
    if not history.ledger.folder.is_dir():
        raise OpsError(msg("nothing was applied yet"), msg("`techsapo up` does"))
    with at_work(history.layout, wait, listener.warn):
        require_ended(history.layout, Operation.RESTORE)
        interrupted = record_interrupted(history.layout)
        if interrupted is not None:
            listener.say(msg("@{id} was {reason}", id=interrupted.id, reason=interrupted.reason))
        target = history.choose(reference)
        snapshot = history.snapshot(target)
        running = history.engine(snapshot)
        running.announce()
        leaves = history.leaves(snapshot.desired.topology)
        topology = snapshot.desired.topology
        if lost := lost_data(topology, running, topology.engine):
            what = joined("\n", (str(each) for each in lost))
            raise OpsError(what, msg("`techsapo up` names the newest backup of it"))
        found = replace(
            plan(snapshot, running, Purpose.BACK),
            leaves=leaves,
            restores=target.id,
            environment=change_of(history.layout.state, topology.layout.environment),
        )
        require_app_starts(found, {})
        if found.changes and not approve(target, found):
            return None
        edited = [c for c in found.files if c.kind is ChangeKind.EDITED]
        if edited and not force:
            raise edited_error(edited, history.layout.config)
        end_keys(history.layout, snapshot.desired.topology.spec)  # it may name a file of keys of then
        transaction = Transaction(
            found, running, history, listener, force=force, interrupted=interrupted is not None
        )
        applied = transaction.run()
        require_applied(applied)
        return RollbackReport(target, found, applied)
