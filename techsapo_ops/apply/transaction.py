"""One apply as a transaction: files, services, read-back; then a record, or a roll back."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from functools import cached_property

from techsapo_ops.adapters.build import build
from techsapo_ops.apply.administration import Begun, begin, why
from techsapo_ops.apply.generate import write_files
from techsapo_ops.apply.history import BACK, FILES, PREPARE, READ_BACK, SERVICES, History, apply_journal
from techsapo_ops.apply.ledger import now
from techsapo_ops.apply.ledger_entry import LedgerEntry, Result
from techsapo_ops.apply.outcome import Applied, GoneBack, Listener, not_back, tell_prometheus
from techsapo_ops.apply.plan import Purpose, StackPlan, plan
from techsapo_ops.apply.snapshot import Snapshot, spec_hash
from techsapo_ops.apply.steps import with_renewed, without_lost
from techsapo_ops.apply.work import Marks, Work
from techsapo_ops.certs.own import ensure_certificates, ensure_own_certificates
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.engine import Access, Engine
from techsapo_ops.stack.journal import CUT_SHORT, Operation
from techsapo_ops.stack.observed import Observed
from techsapo_ops.stack.state_format import note_format
from techsapo_ops.stack.topology import Topology

INTERRUPTED = msg("interrupted: {then}", then=CUT_SHORT[Operation.APPLY].then)


class Transaction:
    """Does a plan and proves it; after a failure brings the last good apply back.

    Without an earlier one, or where that is the very same state, what is good stays up. The caller holds
    the stack's lock. Killed at any point, the journal tells the next command. `force` overwrites files that
    were edited by hand; `interrupted` says that the apply before this one was killed.
    """

    def __init__(
        self,
        stack_plan: StackPlan,
        running: Engine,
        history: History,
        listener: Listener,
        *,
        force: bool = False,
        interrupted: bool = False,
    ) -> None:
        self._plan = stack_plan
        self._running = running
        self._history = history
        self._listener = listener
        self._force = force
        self._interrupted = interrupted
        self._ledger = history.ledger
        self._journal = apply_journal(history.layout)
        self._base = self._ledger.current()
        self._started = time.monotonic()
        self._draft: LedgerEntry | None = None
        self._begun: Begun | None = None
        self._work = Work(
            running,
            stack_plan.desired,
            stack_plan.observed,
            listener,
            marks=self._marks(running, stack_plan.desired.topology),
            pause=history.pause,
        )

    @property
    def _can_go_back(self) -> bool:
        if self._base is None or self._base.identity == self._plan.wanted.identity:
            return False
        return not self._to_one_host

    @cached_property
    def _to_one_host(self) -> bool:
        """Whether a roll back leads to a single host that another apply than this one left.

        It may be another host than this one: here it would be a stack without data.
        """
        if self._base is None or self._plan.leaves is not None:
            return False
        try:
            before = self._ledger.load_state(self._base).desired.topology.places
            return not self._plan.desired.topology.places.returns_to(before)
        except OpsError:  # the way back says so
            return False

    def run(self) -> Applied:
        """Do it. Raises OpsError when nothing was touched, because the ledger could not be written."""
        try:
            applied = self._run()
        except BaseException as error:
            if self._begun is not None:
                self._begun.end("failed", {"why": why(error)}, self._listener.warn)
            raise
        entry = applied.entry
        if self._begun is not None and entry is not None:
            outcome = {"result": entry.result, "why": entry.reason, "back_to": entry.back_to}
            self._begun.end("done" if entry.good else "failed", outcome, self._listener.warn)
        return applied

    def _run(self) -> Applied:
        stack_plan = self._plan
        recorded = self._base is not None and self._base.identity == stack_plan.wanted.identity
        if stack_plan.changes or self._interrupted or not (recorded or stack_plan.partial):
            self._begin()
        error: OpsError | None = None
        try:
            self._go()
        except OpsError as problem:
            error = problem
        except KeyboardInterrupt:
            self._listener.warn(INTERRUPTED)
            raise
        outcomes = self._work.outcomes
        failed = error or next((o.error for o in outcomes if o.error is not None), None)
        if failed is None:
            return Applied(tuple(outcomes), self._commit("ok", "", None))
        if self._draft is None:
            self._begin()
        if self._base is not None and self._to_one_host:
            self._listener.warn(
                msg(
                    "not rolling back to apply @{to}, which ran on a single host: run `techsapo rollback` "
                    "on that host",
                    to=self._base.id,
                )
            )
        back = self._go_back() if self._can_go_back else None
        result: Result = "rolled-back" if back is not None and not back.failures else "failed"
        reason = failed.message.splitlines()[0]
        return Applied(tuple(outcomes), self._commit(result, reason, back), back, error)

    def _begin(self) -> None:
        stack_plan, wanted = self._plan, self._plan.wanted
        topology = wanted.desired.topology
        id_, command = self._ledger.next_id(), "up" if stack_plan.restores is None else "rollback"
        what = {"apply": id_, "restores": stack_plan.restores, "environment": topology.layout.environment}
        self._begun = begin(topology.layout, command, what)
        note_format(topology.layout)
        self._draft = LedgerEntry(
            id=id_,
            time=now(),
            user=self._history.user,
            command=command,
            version=build(),
            engine=topology.engine,
            environment=topology.layout.environment,
            spec_hash=spec_hash(wanted.spec),
            state=self._ledger.save_state(wanted),
            identity=wanted.identity,
            result="failed",
            restores=stack_plan.restores,
            files=tuple((f.path, str(f.kind)) for f in stack_plan.files),
        )
        self._journal.begin(self._draft)
        self._running.share()

    def _marks(self, access: Access, topology: Topology) -> Marks:
        def changed(service: str, seconds: float) -> None:
            if self._draft is not None:
                self._journal.done(service, seconds)

        return Marks(lambda service: self._history.following.ready(access, topology, service), changed)

    def _reach(self, step: str) -> None:
        if self._draft is not None:
            self._journal.reach(step)

    def _go(self) -> None:
        stack_plan, desired = self._plan, self._plan.desired
        if stack_plan.files:
            self._reach(FILES)
            write_files(desired.files, desired.topology, force=self._force)
        self._reach(PREPARE)
        if stack_plan.leaves is not None:
            stack_plan.leaves.stop()
        renewed = ensure_certificates(desired.topology)
        if renewed and self._draft is None:
            self._begin()
        ensure_own_certificates(desired.topology)
        self._running.prepare(desired)
        self._reach(SERVICES)
        # What became due since it was planned.
        steps = with_renewed(stack_plan.steps, renewed)
        self._work.perform(steps.steps, stop=self._can_go_back)
        if not self._work.failed:
            self._running.conclude(desired)
        if self._draft is not None and not (self._can_go_back and self._work.failed):
            self._reach(READ_BACK)
            self._work.prove()
            if not self._work.failed and not stack_plan.partial:
                self._history.following.settled(self._running, desired.topology)

    def _go_back(self) -> GoneBack:
        """Bring files and services to the last good apply, as far as that is possible."""
        assert self._base is not None, "checked by _can_go_back"  # noqa: S101 - a mistake of ours, no input
        self._listener.say(msg("failed; rolling back to apply @{id}", id=self._base.id))
        snapshot: Snapshot | None = None
        work: Work | None = None
        try:
            self._reach(BACK)
            snapshot = self._ledger.load_state(self._base)
            if self._plan.partial:
                touched = {step.service for step in self._plan.steps.steps}
                snapshot = snapshot.only({*self._plan.observed.services, *touched})
            desired = snapshot.desired
            running = self._history.engine(snapshot)
            lost = dict(running.begin_back())
            self._leave(snapshot)
            write_files(desired.files, desired.topology, force=True)
            ensure_certificates(desired.topology)
            ensure_own_certificates(desired.topology)
            running.prepare(desired)
            stack_plan = plan(snapshot, running, Purpose.BACK)
            work = Work(
                running,
                desired,
                stack_plan.observed,
                self._listener,
                marks=self._marks(running, desired.topology),
                pause=self._history.pause,
            )
            lost |= stack_plan.observed.unreachable
            work.perform(without_lost(stack_plan.steps.steps, desired, lost), stop=False)
            if not work.failed and not lost:
                running.conclude(desired)
            work.prove()
        except OpsError as error:
            return GoneBack(self._base.id, snapshot, tuple(work.outcomes if work else ()), error)
        return GoneBack(self._base.id, snapshot, tuple(work.outcomes), not_back(lost, self._base.id))

    def _leave(self, snapshot: Snapshot) -> None:
        """Stop what was begun on another engine than that of `snapshot`.

        Its supervisor may run before it has noted any service, so what was left for it says so as well.
        """
        moves = self._plan.desired.topology.places is not snapshot.desired.topology.places
        if moves or self._plan.leaves is not None:
            self._running.stop()
        elif (other := self._history.leaves(snapshot.desired.topology)) is not None:
            other.stop()

    def _seen(self, result: Result) -> Observed | None:
        """What runs now; None where that is unknown after a failure, which is then the thing to report."""
        try:
            return self._running.observe()
        except OpsError:
            if result == "ok":
                raise
            return None

    def _commit(self, result: Result, reason: str, back: GoneBack | None) -> LedgerEntry | None:
        draft = self._draft
        if draft is None:
            return None
        state, identity = draft.state, draft.identity
        observed = self._seen(result) if back is None else None
        if self._plan.partial and result == "ok" and observed is not None:
            # What was not asked for and does not run is no part of the state to come back to.
            part = self._plan.wanted.only(set(observed.services))
            state, identity = self._ledger.save_state(part), part.identity
        entry = replace(
            draft,
            state=state,
            identity=identity,
            result=result,
            reason=reason,
            back_to=back.to if back is not None else None,
            seconds=round(time.monotonic() - self._started, 3),
            steps=tuple(done for o in self._work.outcomes if (done := o.recorded) is not None),
            images=dict(observed.images) if observed is not None else {},
        )
        if any(recorded.version != entry.version for recorded in self._ledger.entries()[-1:]):
            # Neither git nor pip flushes what it writes. After a power cut the half of a new version may be
            # there that no longer starts, of an apply that was said to be done.
            os.sync()
        try:
            forgotten = self._ledger.record(entry)
            self._journal.end()  # killed in between, the next command finds it recorded
        except OpsError as error:
            what = msg("the apply succeeded") if result == "ok" else reason
            raise OpsError(
                msg("{what}, but this can't be recorded: {message}", what=what, message=error.message),
                msg("free some disk space, then run `techsapo up`, which completes the record"),
            ) from None
        tell_prometheus(entry, self._plan.desired.topology.layout, self._listener.warn)
        if forgotten:
            self._running.discard(forgotten)
        return entry
