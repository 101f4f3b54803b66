"""Brings a stack up, shows what that would change, and takes it down: render, validators, engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from techsapo_ops.adapters.build import build
from techsapo_ops.adapters.process import Runner
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.apply import origin
from techsapo_ops.operations.apply.changes import ChangeKind, FileChange, changes, edited_error
from techsapo_ops.operations.apply.generate import validate
from techsapo_ops.operations.apply.journal import Journal
from techsapo_ops.operations.apply.ledger import Entry, Ledger
from techsapo_ops.operations.apply.origin import OriginsFound
from techsapo_ops.operations.apply.readback import Proof, read_back
from techsapo_ops.operations.apply.report import Row, notes, row
from techsapo_ops.operations.apply.snapshot import Snapshot
from techsapo_ops.operations.apply.steps import mended
from techsapo_ops.operations.apply.stop import Stoppable, locked
from techsapo_ops.operations.apply.transaction import (
    Applied,
    Change,
    Engines,
    GoneBack,
    Listener,
    Outcome,
    Tools,
    apply,
)
from techsapo_ops.operations.apply.upgrade import with_new_build
from techsapo_ops.operations.certificates.redis import with_redis_certificate
from techsapo_ops.render.compose import container_units
from techsapo_ops.render.stack import render_stack
from techsapo_ops.render.templates import Templates
from techsapo_ops.services.registry import programs
from techsapo_ops.spec.models import Spec
from techsapo_ops.stack.desired import Desired
from techsapo_ops.stack.engine import Action, Engine, Observed, Plan, Step
from techsapo_ops.stack.topology import Absent, Topology
from techsapo_ops.validators.check import require
from techsapo_ops.validators.report import MissingTool

__all__ = ["Listener", "Outcome", "StackPlan", "UpReport", "compare", "desired_state", "plan_stack", "up"]


@dataclass(frozen=True, slots=True)
class StackPlan:
    """What `up` would do: files to write, steps to perform."""

    desired: Desired
    files: tuple[FileChange, ...]
    steps: Plan
    observed: Observed
    origins: OriginsFound = field(default_factory=OriginsFound)
    """Where each change comes from; of a plan of `up` alone."""

    @property
    def running(self) -> bool:
        """Whether the stack, or a part of it, is up now."""
        return self.observed.running

    @property
    def changes(self) -> bool:
        """Whether anything would be done."""
        return bool(self.files or self.steps.changes or self.beside)

    @property
    def beside(self) -> tuple[Step, ...]:
        """Restarts of programs beside the services that run another build; `up` begins with them."""
        why = f"does not run the installed build, {build()}"
        return tuple(Step(Action.RESTART, name, why) for name in self.observed.behind)


@dataclass(frozen=True, slots=True)
class UpReport:
    """What `up` found and did."""

    plan: StackPlan
    rows: tuple[Row, ...]
    outcomes: tuple[Outcome, ...]
    absent: tuple[Absent, ...]
    notes: tuple[str, ...]
    missing_tools: tuple[MissingTool, ...] = ()
    entry: Entry | None = None
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
        written = bool(self.plan.files or self.plan.beside)
        return written or any(o.step.action is not Action.NOTHING for o in self.outcomes)


def desired_state(topology: Topology, templates: Templates) -> Desired:
    """Everything that should exist: rendered files and, natively, the processes that read them."""
    files = render_stack(topology, templates)
    if topology.engine == "compose":
        return Desired(topology, files, containers=container_units(topology, files))
    return Desired(topology, files, programs(topology))


def plan_stack(
    spec: Spec,
    topology: Topology,
    templates: Templates,
    engine: Engine,
    only: Sequence[str] = (),
    *,
    proof: Proof = read_back,
) -> StackPlan:
    """Compare what is wanted with what is written and what runs; changes nothing.

    What runs is read back too, so that a service with another configuration than its notes claim is seen.
    """
    return _plan(_wanted(spec, topology, templates), templates, engine, only, proof)


def _wanted(spec: Spec, topology: Topology, templates: Templates) -> Snapshot:
    return Snapshot(desired_state(topology, templates), spec, templates.overrides())


def _plan(
    wanted: Snapshot, templates: Templates, engine: Engine, only: Sequence[str], proof: Proof
) -> StackPlan:
    """The plan of `up`: with what a new version asks for, and with the origin of each change."""
    plan = compare(wanted, engine, only, proof=proof)
    plan = replace(plan, steps=with_new_build(plan.steps, plan.observed))
    if not plan.changes:
        return plan

    def render(topology: Topology, overrides: Mapping[str, str] | None) -> Desired:
        then = templates if overrides is None else Templates(None, overrides)
        return desired_state(topology, then)

    origins = origin.find(wanted, plan.steps, plan.files, plan.observed, render)
    return replace(plan, origins=origins)


def compare(wanted: Snapshot, engine: Engine, only: Sequence[str] = (), *, proof: Proof) -> StackPlan:
    """The plan that leads to `wanted`; changes nothing."""
    desired, observed = wanted.desired, engine.observe()
    steps = mended(engine.plan(desired, observed, only), desired, engine, proof)
    steps = with_redis_certificate(steps, wanted.spec, desired.topology, observed)
    return StackPlan(desired, changes(desired.files, desired.topology.layout.config), steps, observed)


def up(
    spec: Spec,
    topology: Topology,
    templates: Templates,
    engine: Engine,
    runner: Runner,
    listener: Listener,
    *,
    engines: Engines | None = None,
    leaves: Stoppable | None = None,
    only: Sequence[str] = (),
    force: bool = False,
    wait: float = 0.0,
    approve: Callable[[StackPlan], bool] = lambda _: True,
    user: str = "",
    proof: Proof = read_back,
) -> UpReport | None:
    """Bring the stack to what the spec says; None when `approve` refused the plan.

    Files are checked by the real tools and written before anything is started; afterwards what runs is read
    back. When something fails, the last good apply is brought back (`UpReport.back`); without one, a service
    that fails does not keep others from starting, but for those that need it. `UpReport.failures` names
    both. Every apply is recorded in the ledger, and one that was killed is completed. `engines` builds the
    engine of an earlier apply; by default `engine` serves it too. `leaves` is the stack of the other engine
    that still runs, and is stopped first.

    Raises OpsError when the lock is taken, a file was edited by hand (unless `force`) or refused by its
    tool, and for a failure that is no service's.
    """
    with locked(topology.layout, wait):
        wanted = _wanted(spec, topology, templates)
        plan = _plan(wanted, templates, engine, only, proof)
        if plan.changes and not approve(plan):
            return None
        for step in plan.beside:
            listener.say(f"restarting {step.service}: it {step.reason}")
        missing: tuple[MissingTool, ...] = ()
        if plan.files:
            edited = [c for c in plan.files if c.kind is ChangeKind.EDITED]
            if edited and not force:
                raise edited_error(edited, topology.layout.config)
            listener.say(f"checking and writing {len(plan.files)} files")
            report = validate(spec, topology, templates, runner, plan.desired.files)
            require(report)
            missing = report.missing
        interrupted = Journal(Ledger(topology.layout.state)).recover()
        if interrupted is not None:
            listener.say(f"@{interrupted.id} was {interrupted.reason}; completing it")
        change = Change(
            wanted,
            engine,
            plan.files,
            plan.steps,
            plan.observed,
            "up",
            partial=bool(only),
            force=force,
            interrupted=interrupted is not None,
            leaves=leaves,
        )
        applied = apply(change, Tools(engines or (lambda _: engine), listener, user, proof))
        require_applied(applied)
        stands = applied.back.snapshot if applied.back is not None else None
        rows = stack_rows(stands or change.snapshot, engine, applied)
        return UpReport(
            plan,
            rows,
            applied.outcomes,
            topology.absent,
            notes(spec, topology),
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
        after = f"\nwent back to @{back.to}"
        after += "".join(f"\nbut not entirely: {error.message}" for error in back.failures)
    raise OpsError(applied.error.message + after, applied.error.hint, exit_code=applied.error.exit_code)


def stack_rows(snapshot: Snapshot, engine: Engine, applied: Applied) -> tuple[Row, ...]:
    """A row for each service of `snapshot`, the state that the stack is left in."""
    observed = engine.observe()
    outcomes = applied.outcomes if applied.back is None else applied.back.outcomes
    failed = {o.step.service for o in outcomes if o.error is not None}
    topology = snapshot.desired.topology
    return tuple(
        row(snapshot.spec, topology, service, observed.services.get(service.name), service.name in failed)
        for service in topology.services
    )
