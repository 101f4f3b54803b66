"""Brings a stack up, shows what that would change, and takes it down: render, validators, engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from techsapo_ops.adapters.process import Runner
from techsapo_ops.engines.base import Action, Engine, Plan, Step
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.changes import ChangeKind, FileChange, changes, edited_error
from techsapo_ops.operations.generate import validate, write_files
from techsapo_ops.operations.stack_certificates import ensure_certificates
from techsapo_ops.operations.stack_report import Row, notes, row
from techsapo_ops.operations.stack_stop import locked
from techsapo_ops.render.programs import programs
from techsapo_ops.render.stack import render_stack
from techsapo_ops.render.templates import Templates
from techsapo_ops.spec.desired import Desired
from techsapo_ops.spec.models import Spec
from techsapo_ops.spec.topology import Absent, Topology
from techsapo_ops.validators.check import require
from techsapo_ops.validators.report import MissingTool


@dataclass(frozen=True, slots=True)
class StackPlan:
    """What `up` would do: files to write, steps to perform."""

    desired: Desired
    files: tuple[FileChange, ...]
    steps: Plan
    running: bool
    """Whether the stack, or a part of it, is up now."""

    @property
    def changes(self) -> bool:
        """Whether anything would be done."""
        return bool(self.files or self.steps.changes)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one step ended: `error` is None for a service that passed its gate."""

    step: Step
    seconds: float
    error: OpsError | None = None


@dataclass(frozen=True, slots=True)
class UpReport:
    """What `up` found and did."""

    plan: StackPlan
    rows: tuple[Row, ...]
    outcomes: tuple[Outcome, ...]
    absent: tuple[Absent, ...]
    notes: tuple[str, ...]
    missing_tools: tuple[MissingTool, ...] = ()

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The steps that failed."""
        return tuple(o for o in self.outcomes if o.error is not None)

    @property
    def changed(self) -> bool:
        """Whether anything was done."""
        return bool(self.plan.files) or any(o.step.action is not Action.NOTHING for o in self.outcomes)


class Listener(Protocol):
    """Told how the work goes."""

    def say(self, text: str) -> None:
        """A line about what is being done."""
        ...

    def done(self, outcome: Outcome) -> None:
        """A step has ended."""
        ...


def desired_state(spec: Spec, topology: Topology, templates: Templates) -> Desired:
    """Everything that should exist: rendered files and, natively, the processes that read them."""
    files = render_stack(spec, topology, templates)
    return Desired(topology, files, programs(spec, topology) if topology.engine == "native" else ())


def plan_stack(
    spec: Spec, topology: Topology, templates: Templates, engine: Engine, only: Sequence[str] = ()
) -> StackPlan:
    """Compare what is wanted with what is written and what runs; changes nothing."""
    desired = desired_state(spec, topology, templates)
    observed = engine.observe()
    steps = engine.plan(desired, observed, only)
    return StackPlan(desired, changes(desired.files, topology.layout.config), steps, observed.running)


def up(
    spec: Spec,
    topology: Topology,
    templates: Templates,
    engine: Engine,
    runner: Runner,
    listener: Listener,
    *,
    only: Sequence[str] = (),
    force: bool = False,
    wait: float = 0.0,
    approve: Callable[[StackPlan], bool] = lambda _: True,
) -> UpReport | None:
    """Bring the stack to what the spec says; None when `approve` refused the plan.

    Files are checked by the real tools and written before anything is started. A service that fails does
    not keep others from starting, but for those that need it; `UpReport.failures` names both. Raises
    OpsError when the lock is taken, a file was edited by hand (unless `force`) or refused by its tool.
    """
    with locked(topology.layout, wait):
        plan = plan_stack(spec, topology, templates, engine, only)
        if plan.changes and not approve(plan):
            return None
        missing: tuple[MissingTool, ...] = ()
        if plan.files:
            edited = [c for c in plan.files if c.kind is ChangeKind.EDITED]
            if edited and not force:
                raise edited_error(edited, topology.layout.config)
            listener.say(f"checking and writing {len(plan.files)} files")
            report = validate(spec, topology, templates, runner, plan.desired.files)
            require(report)
            missing = report.missing
            write_files(plan.desired.files, topology, force=force)
        renewed = ensure_certificates(spec, topology)
        engine.prepare(plan.desired)
        outcomes = _perform(_with_renewed(plan.steps, renewed), plan.desired, engine, listener)
        observed = engine.observe()
        failed = {o.step.service: o for o in outcomes if o.error is not None}
        rows = tuple(
            row(spec, topology, service, observed.services.get(service.name), service.name in failed)
            for service in topology.services
        )
        return UpReport(plan, rows, outcomes, topology.absent, notes(spec, topology), missing)


def _with_renewed(plan: Plan, renewed: str) -> tuple[Step, ...]:
    if not renewed:
        return plan.steps
    return tuple(
        Step(Action.RELOAD, s.service, renewed) if s.service == "nginx" and s.action is Action.NOTHING else s
        for s in plan.steps
    )


def _perform(
    steps: Sequence[Step], desired: Desired, engine: Engine, listener: Listener
) -> tuple[Outcome, ...]:
    needs = {s.name: s.needs for s in desired.topology.services}
    failed: set[str] = set()
    outcomes = []
    for step in steps:
        started = time.monotonic()
        error: OpsError | None = None
        broken = [name for name in needs.get(step.service, ()) if name in failed]
        if broken:
            error = OpsError(f"{step.service} was not started: it needs {', '.join(broken)}")
        else:
            try:
                engine.perform(step, desired, listener.say)
            except OpsError as problem:
                error = problem
        if error is not None:
            failed.add(step.service)
        outcome = Outcome(step, time.monotonic() - started, error)
        outcomes.append(outcome)
        listener.done(outcome)
    return tuple(outcomes)
