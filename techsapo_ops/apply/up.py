"""Brings a stack up: render, validators, plan, transaction; or back to an earlier apply."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from techsapo_ops.adapters.unreachable import lacking
from techsapo_ops.apply.changes import ChangeKind, edited_error
from techsapo_ops.apply.data import lost_of, note_data, require_data, start_empty
from techsapo_ops.apply.generate import validate
from techsapo_ops.apply.history import History, record_interrupted, require_left
from techsapo_ops.apply.knowledge import follow as follow_knowledge
from techsapo_ops.apply.ledger_entry import LedgerEntry, change_of
from techsapo_ops.apply.maintenance import follow
from techsapo_ops.apply.outcome import Applied, GoneBack, Listener, Outcome, Row, notes, row
from techsapo_ops.apply.plan import Purpose, StackPlan, plan, plan_of
from techsapo_ops.apply.prechecks import require_app_starts, require_free
from techsapo_ops.apply.snapshot import Snapshot
from techsapo_ops.apply.spec_files import applied_elsewhere, keep_spec_files
from techsapo_ops.apply.steps import with_emptied
from techsapo_ops.apply.stop import forget_others
from techsapo_ops.apply.transaction import Transaction
from techsapo_ops.apply.weights import WeightsBack
from techsapo_ops.backup.kinds.secret_files import end_keys
from techsapo_ops.engines.at_work import at_work
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import joined, msg
from techsapo_ops.services.lost_data import lost_data
from techsapo_ops.stack.engine import Running
from techsapo_ops.stack.journal import Operation, require_ended
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.step import Action
from techsapo_ops.stack.topology import Absent
from techsapo_ops.validators.check import MissingTool, require


@dataclass(frozen=True, slots=True)
class UpReport:
    """What `up` found and did."""

    plan: StackPlan
    rows: tuple[Row, ...]
    outcomes: tuple[Outcome, ...]
    absent: tuple[Absent, ...]
    notes: tuple[str, ...]
    missing_tools: tuple[MissingTool, ...] = ()
    entry: LedgerEntry | None = None
    """The apply in the ledger; None when there was nothing to record."""
    back: GoneBack | None = None
    """The way back to the last good apply, after a failure."""

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The steps that failed."""
        return tuple(o for o in self.outcomes if o.error is not None)

    @property
    def changed(self) -> bool:
        """Whether anything was done."""
        return bool(self.plan.files or self.plan.environment) or any(
            o.step.action is not Action.NOTHING for o in self.outcomes
        )


def up(
    stack: Stack,
    listener: Listener,
    *,
    only: Sequence[str] = (),
    force: bool = False,
    wait: float = 0.0,
    approve: Callable[[StackPlan], bool] = lambda _: True,
) -> UpReport | None:
    """Bring the stack to what the spec says; None when `approve` refused the plan.

    It is asked while no other techsapo can be at work, also where there is nothing to do.

    Files are checked by the real tools and written before anything is started; afterwards what runs is read
    back. When something fails, the last good apply is brought back (`UpReport.back`); without one, a service
    that fails does not keep others from starting, but for those that need it. `UpReport.failures` names
    both. Every apply is recorded in the ledger, and one that was killed is completed.

    Raises OpsError when the lock is taken for longer than `wait` seconds, data is gone, somebody else has a
    port that a service of a running stack is to have, the app could not start, a file was edited by hand
    (unless `force`) or refused by its tool, and for a failure that is no service's.
    """
    return _up(stack, listener, only=only, force=force, empty=False, wait=wait, approve=approve)


def up_empty(
    stack: Stack,
    listener: Listener,
    *,
    only: Sequence[str] = (),
    force: bool = False,
    wait: float = 0.0,
    approve: Callable[[StackPlan], bool] = lambda _: True,
) -> UpReport | None:
    """As `up`, but without data that was there and is gone: it is made anew, empty, and that is recorded."""
    return _up(stack, listener, only=only, force=force, empty=True, wait=wait, approve=approve)


def _up(
    stack: Stack,
    listener: Listener,
    *,
    only: Sequence[str],
    force: bool,
    empty: bool,
    wait: float,
    approve: Callable[[StackPlan], bool],
) -> UpReport | None:
    history = History.of(stack)
    stack.engine.announce()
    with at_work(stack.layout, wait, listener.warn):
        require_left(stack.layout)
        stack_plan = plan_of(stack, only)
        lost = lost_of(stack_plan)
        if empty:
            stack_plan = replace(
                stack_plan, steps=with_emptied(stack_plan.steps, [each.service for each in lost])
            )
        else:
            require_data(stack, stack_plan)
        require_free(stack_plan, history, stack.engine)
        require_app_starts(stack_plan, stack.disabled)
        if warning := applied_elsewhere(stack):  # before anybody agrees to it
            listener.warn(warning)
        if not approve(stack_plan):
            return None
        missing: tuple[MissingTool, ...] = ()
        if stack_plan.files:
            edited = [c for c in stack_plan.files if c.kind is ChangeKind.EDITED]
            if edited and not force:
                raise edited_error(edited, stack.layout.config)
            listener.say(msg("checking and writing {count} files", count=len(stack_plan.files)))
            report = validate(stack, stack_plan.desired.files)
            require(report)
            missing = report.missing
        interrupted = record_interrupted(stack.layout)
        if interrupted is not None:
            listener.say(
                msg(
                    "apply @{id} was {reason}; finishing it now", id=interrupted.id, reason=interrupted.reason
                )
            )
        keep_spec_files(stack)
        follow_knowledge(stack, listener.warn)
        if lost:
            start_empty(stack, lost, listener.warn)
        applied = Transaction(
            stack_plan, stack.engine, history, listener, force=force, interrupted=interrupted is not None
        ).run()
        forget_others(stack.topology)
        follow(stack.layout)  # maintenance goes on in folders that are new
        if words := lacking(stack.engine.deliver()):
            listener.warn(words)
        require_applied(applied)
        if applied.back is None and not any(o.error for o in applied.outcomes):
            note_data(stack)
        if applied.back is None:
            stack.engine.brought_up()
        current = applied.back.snapshot if applied.back is not None else None
        left = current or stack_plan.wanted
        rows = stack_rows(left, stack.engine, applied)
        return UpReport(
            stack_plan,
            rows,
            applied.outcomes,
            left.desired.topology.absent,
            notes(left.desired.topology, stack.runner),
            missing,
            applied.entry,
            applied.back,
        )


def require_applied(applied: Applied) -> None:
    """Raise OpsError for a failure of an apply that is no service's, with what became of the stack."""
    if applied.error is None:
        return
    back = applied.back
    after = ""
    if back is not None:
        after = msg("\nrolled back to apply @{to}", to=back.to)
        after += joined(
            "",
            (
                msg("\nthe rollback is incomplete: {message}", message=error.message)
                for error in back.failures
            ),
        )
    raise OpsError(applied.error.message + after, applied.error.hint, exit_code=applied.error.exit_code)


def stack_rows(snapshot: Snapshot, running: Running, applied: Applied) -> tuple[Row, ...]:
    """A row for each service of `snapshot`, the state that the stack is left in."""
    observed = running.observe()
    outcomes = applied.outcomes if applied.back is None else applied.back.outcomes
    failed = {o.step.service for o in outcomes if o.error is not None}
    topology = snapshot.desired.topology
    return tuple(
        row(topology, service, observed.services.get(service.name), service.name in failed)
        for service in topology.services
    )


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
        raise OpsError(msg("nothing was applied yet"), msg("run `techsapo up` first"))
    with at_work(history.layout, wait, listener.warn):
        require_ended(history.layout, Operation.RESTORE)
        interrupted = record_interrupted(history.layout)
        if interrupted is not None:
            listener.say(msg("apply @{id} was {reason}", id=interrupted.id, reason=interrupted.reason))
        target = history.choose(reference)
        snapshot = history.snapshot(target)
        running = history.engine(snapshot)
        running.announce()
        leaves = history.leaves(snapshot.desired.topology)
        topology = snapshot.desired.topology
        if lost := lost_data(topology, running, topology.engine):
            what = joined("\n", (str(each) for each in lost))
            raise OpsError(what, msg("`techsapo up` shows the newest backup of this data"))
        stack_plan = replace(
            plan(snapshot, running, Purpose.BACK),
            leaves=leaves,
            restores=target.id,
            environment=change_of(history.layout.state, topology.layout.environment),
        )
        require_app_starts(stack_plan, {})
        if stack_plan.changes and not approve(target, stack_plan):
            return None
        edited = [c for c in stack_plan.files if c.kind is ChangeKind.EDITED]
        if edited and not force:
            raise edited_error(edited, history.layout.config)
        end_keys(history.layout, snapshot.desired.topology.spec)  # it may name a file of keys of then
        cut_short = history.snapshot(interrupted) if interrupted is not None and interrupted.state else None
        weights = WeightsBack(history, snapshot, cut_short)
        if words := weights.write():
            listener.warn(words)
        transaction = Transaction(
            stack_plan, running, history, listener, force=force, interrupted=interrupted is not None
        )
        done = False
        try:
            applied = transaction.run()
            require_applied(applied)
            done = not any(o.error for o in applied.outcomes)
        finally:
            if not done:
                weights.undo()
        return RollbackReport(target, stack_plan, applied)
