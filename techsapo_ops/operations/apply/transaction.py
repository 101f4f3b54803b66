"""One apply as a transaction: files, services, read-back; then recorded, or gone back from."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from techsapo_ops.adapters.build import build
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.apply.certificates import ensure_certificates
from techsapo_ops.operations.apply.changes import FileChange
from techsapo_ops.operations.apply.generate import write_files
from techsapo_ops.operations.apply.journal import BACK, FILES, PREPARED, READ_BACK, SERVICES, Journal
from techsapo_ops.operations.apply.ledger import Done, Entry, Ledger, Result, now
from techsapo_ops.operations.apply.readback import PATIENCE, Proof, read_back
from techsapo_ops.operations.apply.rolling import Rolling
from techsapo_ops.operations.apply.snapshot import Snapshot, spec_hash
from techsapo_ops.operations.apply.steps import failed_sibling, mended, with_renewed
from techsapo_ops.operations.apply.stop import Stoppable
from techsapo_ops.operations.apply.together import stretches, together
from techsapo_ops.operations.certificates.redis import ensure_redis_certificate, with_redis_certificate
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.engine import Action, Engine, Mismatch, Observed, Plan, Step

Engines = Callable[[Snapshot], Engine]
"""Builds the engine that runs a snapshot: another one than now where ports or passwords changed since."""

_LOG_LINES = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one step ended: `error` is None for a service that passed its gate and runs what was wanted."""

    step: Step
    seconds: float
    error: OpsError | None = None


class Listener(Protocol):
    """Told how the work goes."""

    def say(self, text: str) -> None:
        """A line about what is being done."""
        ...

    def warn(self, text: str) -> None:
        """A line that is shown whatever else was asked for."""
        ...

    def done(self, outcome: Outcome) -> None:
        """A step has ended."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What an apply works with. `user` is who runs it; `pause` waits so many seconds."""

    engines: Engines
    listener: Listener
    user: str = ""
    proof: Proof = read_back
    pause: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Change:
    """One apply before it is done.

    `before` is what was observed when it was planned; `partial` says that the plan is about some services
    only. `interrupted` says that an apply before it was killed, `restores` names the apply that a roll back
    goes to, `leaves` is the other engine that still runs the stack.
    """

    snapshot: Snapshot
    engine: Engine
    files: tuple[FileChange, ...]
    steps: Plan
    before: Observed
    command: str
    partial: bool = False
    force: bool = False
    interrupted: bool = False
    restores: int | None = None
    leaves: Stoppable | None = None


@dataclass(frozen=True, slots=True)
class GoneBack:
    """The way back after a failure: to which apply, and what of it failed too."""

    to: int
    snapshot: Snapshot | None
    outcomes: tuple[Outcome, ...]
    error: OpsError | None = None

    @property
    def failures(self) -> tuple[OpsError, ...]:
        """Why the stack is not entirely what it was; none when it is."""
        errors = [o.error for o in self.outcomes if o.error is not None]
        return (*errors, self.error) if self.error is not None else tuple(errors)


@dataclass(frozen=True, slots=True)
class Applied:
    """How an apply ended. `entry` is None when there was nothing to do and nothing to record.

    `error` is a failure that is no service's, such as a full disk.
    """

    outcomes: tuple[Outcome, ...]
    entry: Entry | None = None
    back: GoneBack | None = None
    error: OpsError | None = None


def apply(change: Change, tools: Tools) -> Applied:
    """Do `change` and prove it; after a failure bring the last good apply back.

    Without an earlier one, or where that is the very same state, what is good stays up. The caller holds
    the stack's lock. Killed at any point, the journal tells the next command. Raises OpsError when nothing
    was touched, because the ledger could not be written.
    """
    return _Apply(change, tools).run()


class _Apply:
    def __init__(self, change: Change, tools: Tools) -> None:
        self._change = change
        self._tools = tools
        self._snapshot = change.snapshot
        self._ledger = Ledger(self._snapshot.desired.topology.layout.state)
        self._journal = Journal(self._ledger)
        self._base = self._ledger.current()
        self._started = time.monotonic()
        self._draft: Entry | None = None
        self._outcomes: list[Outcome] = []

    @property
    def _can_go_back(self) -> bool:
        return self._base is not None and self._base.identity != self._snapshot.identity

    def run(self) -> Applied:
        change = self._change
        recorded = self._base is not None and self._base.identity == self._snapshot.identity
        if change.files or change.steps.changes or change.interrupted or not (recorded or change.partial):
            self._begin()
        error: OpsError | None = None
        try:
            self._go()
        except OpsError as problem:
            error = problem
        except KeyboardInterrupt:
            self._tools.listener.warn(
                "interrupted: `techsapo up` completes the apply, `techsapo rollback` undoes it"
            )
            raise
        failed = error or next((o.error for o in self._outcomes if o.error is not None), None)
        if failed is None:
            return Applied(tuple(self._outcomes), self._commit("ok", "", None))
        if self._draft is None:
            self._begin()
        back = self._go_back() if self._can_go_back else None
        result: Result = "rolled-back" if back is not None and not back.failures else "failed"
        reason = failed.message.splitlines()[0]
        return Applied(tuple(self._outcomes), self._commit(result, reason, back), back, error)

    def _begin(self) -> None:
        change = self._change
        topology = self._snapshot.desired.topology
        self._draft = Entry(
            id=self._ledger.next_id(),
            time=now(),
            user=self._tools.user,
            command=change.command,
            version=build(),
            engine=topology.engine,
            environment=topology.layout.environment,
            spec_hash=spec_hash(self._snapshot.spec),
            state=self._ledger.save_state(self._snapshot),
            identity=self._snapshot.identity,
            result="failed",
            restores=change.restores,
            files=tuple((f.path, str(f.kind)) for f in change.files),
        )
        self._journal.begin(self._draft)

    def _reached(self, phase: str, service: str | None = None) -> None:
        if self._draft is not None:
            self._journal.reached(phase, service)

    def _go(self) -> None:
        change = self._change
        desired = self._snapshot.desired
        if change.files:
            write_files(desired.files, desired.topology, force=change.force)
            self._reached(FILES)
        if change.leaves is not None:
            change.leaves.stop()
        renewed = ensure_certificates(self._snapshot.spec, desired.topology)
        if renewed and self._draft is None:
            self._begin()
        ensure_redis_certificate(self._snapshot.spec, desired.topology)
        change.engine.prepare(desired)
        self._reached(PREPARED)
        steps = with_renewed(change.steps, renewed)
        self._perform(steps, desired, change.engine, change.before, self._outcomes, stop=self._can_go_back)
        if self._draft is not None and not (self._can_go_back and _failed(self._outcomes)):
            self._reached(READ_BACK)
            self._prove(desired, change.engine, self._outcomes)

    def _perform(
        self,
        steps: Sequence[Step],
        desired: Desired,
        engine: Engine,
        before: Observed,
        outcomes: list[Outcome],
        *,
        stop: bool,
    ) -> None:
        """Perform `steps` in order, those that disturb nothing together; outcomes come in that order too.

        `stop` ends at the first failure, else only what needs it is left out.
        """
        topology = desired.topology
        kinds = {s.name: s.kind for s in topology.services}
        after = {s.name: topology.comes_after(s) for s in topology.services}
        rolling = Rolling(before, self._tools.listener.say, self._tools.pause)
        for part in stretches(steps, engine.at_once):
            for step in part:
                rolling.before(step, kinds.get(step.service, ""))
            if len(part) > 1:
                engine.gather(part, desired)
            first = len(outcomes)
            for outcome in together(
                part,
                after,
                lambda step: self._step(step, desired, engine, before, outcomes),
                at_once=engine.at_once,
                go_on=lambda: not (stop and _failed(outcomes)),
            ):
                outcomes.append(outcome)
                self._tools.listener.done(outcome)
                if outcome.step.action is not Action.NOTHING and outcome.error is None:
                    self._reached(SERVICES if outcomes is self._outcomes else BACK, outcome.step.service)
            places = {step.service: place for place, step in enumerate(part)}
            outcomes[first:] = sorted(outcomes[first:], key=lambda o: places[o.step.service])
            if stop and _failed(outcomes):
                return

    def _step(
        self, step: Step, desired: Desired, engine: Engine, before: Observed, outcomes: Sequence[Outcome]
    ) -> Outcome:
        started = time.monotonic()
        failed = {o.step.service for o in outcomes if o.error is not None}
        sibling = failed_sibling(step, desired, before, failed)
        if sibling is not None:
            why = f"goes on as it was, since {sibling} did not come up"
            self._tools.listener.warn(f"{step.service} {why}")
            return Outcome(Step(Action.NOTHING, step.service, why), 0.0)
        needs = next((s.needs for s in desired.topology.services if s.name == step.service), ())
        # One that runs is looked at all the same, and left as it is.
        broken = [name for name in needs if name in failed and step.action is not Action.NOTHING]
        error: OpsError | None = None
        if broken:
            error = OpsError(f"{step.service} was not started: it needs {', '.join(broken)}")
        else:
            try:
                engine.perform(step, desired, self._tools.listener.say)
            except OpsError as problem:
                error = problem
        return Outcome(step, time.monotonic() - started, error)

    def _prove(self, desired: Desired, engine: Engine, outcomes: list[Outcome]) -> None:
        """Read back what runs, and turn the outcome of each service that differs into a failure."""
        good = [o.step.service for o in outcomes if o.error is None and o.step.action is not Action.REMOVE]
        found = {m.service: m for m in self._tools.proof(desired, engine, good, PATIENCE)}
        for number, outcome in enumerate(outcomes):
            mismatch = found.get(outcome.step.service)
            if mismatch is not None and outcome.error is None:
                outcomes[number] = replace(outcome, error=_mismatch_error(mismatch, engine))
                self._tools.listener.done(outcomes[number])

    def _go_back(self) -> GoneBack:
        """Bring files and services to the last good apply, as far as that is possible."""
        assert self._base is not None, "checked by _can_go_back"  # noqa: S101 - a mistake of ours, no input
        self._tools.listener.say(f"failed; going back to @{self._base.id}")
        outcomes: list[Outcome] = []
        snapshot: Snapshot | None = None
        try:
            self._reached(BACK)
            snapshot = self._ledger.load_state(self._base)
            if self._change.partial:
                touched = {step.service for step in self._change.steps.steps}
                snapshot = snapshot.only({*self._change.before.services, *touched})
            desired = snapshot.desired
            engine = self._tools.engines(snapshot)
            if engine.name != self._change.engine.name:
                self._change.engine.stop()
            write_files(desired.files, desired.topology, force=True)
            ensure_certificates(snapshot.spec, desired.topology)
            ensure_redis_certificate(snapshot.spec, desired.topology)
            engine.prepare(desired)
            observed = engine.observe()
            plan = mended(engine.plan(desired, observed), desired, engine, self._tools.proof)
            plan = with_redis_certificate(plan, snapshot.spec, desired.topology, observed)
            self._perform(plan.steps, desired, engine, observed, outcomes, stop=False)
            self._prove(desired, engine, outcomes)
        except OpsError as error:
            return GoneBack(self._base.id, snapshot, tuple(outcomes), error)
        return GoneBack(self._base.id, snapshot, tuple(outcomes))

    def _commit(self, result: Result, reason: str, back: GoneBack | None) -> Entry | None:
        draft = self._draft
        if draft is None:
            return None
        state, identity = draft.state, draft.identity
        if self._change.partial and result == "ok":
            # What was not asked for and does not run is no part of the state to come back to.
            standing = self._snapshot.only(set(self._change.engine.observe().services))
            state, identity = self._ledger.save_state(standing), standing.identity
        entry = replace(
            draft,
            state=state,
            identity=identity,
            result=result,
            reason=reason,
            back_to=back.to if back is not None else None,
            seconds=round(time.monotonic() - self._started, 3),
            steps=tuple(
                Done(
                    str(o.step.action),
                    o.step.service,
                    o.step.reason,
                    round(o.seconds, 3),
                    o.error.message.splitlines()[0] if o.error is not None else None,
                )
                for o in self._outcomes
                if o.step.action is not Action.NOTHING or o.error is not None
            ),
            images=dict(self._change.engine.images()) if back is None else {},
        )
        try:
            forgotten = self._journal.commit(entry)
        except OpsError as error:
            what = "all was done as asked for" if result == "ok" else reason
            raise OpsError(
                f"{what}, but this can't be recorded: {error.message}",
                "make room, then run `techsapo up`: it completes the record",
            ) from None
        if forgotten:
            self._change.engine.discard(forgotten)
        return entry


def _failed(outcomes: Sequence[Outcome]) -> bool:
    return any(o.error is not None for o in outcomes)


def _mismatch_error(mismatch: Mismatch, engine: Engine) -> OpsError:
    name = mismatch.service
    lines = [line.text for line in engine.logs([name], lines=_LOG_LINES)]
    quoted = "".join(f"\n  | {line}" for line in lines)
    said = f"\nlast lines of its log:{quoted}" if lines else ""
    return OpsError(f"{name}: {mismatch.what}{said}", f"`techsapo logs {name}` shows more")
