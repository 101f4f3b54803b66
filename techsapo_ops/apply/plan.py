"""What an apply would do: the one plan that `plan`, `up`, `rollback` and `drift` share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from techsapo_ops.apply import origin
from techsapo_ops.apply.changes import FileChange, changes
from techsapo_ops.apply.ledger_entry import EnvironmentChange, change_of
from techsapo_ops.apply.origin import PlanOrigins
from techsapo_ops.apply.snapshot import Snapshot
from techsapo_ops.apply.steps import by_proof, with_new_build, with_renewed
from techsapo_ops.certs.own import certificates_due, with_own_certificates
from techsapo_ops.render.compose import container_units
from techsapo_ops.render.stack import render_stack
from techsapo_ops.render.swarm import swarm_units
from techsapo_ops.render.templates import Templates as Overridden
from techsapo_ops.services.lost_data import LostData, lost_data
from techsapo_ops.services.registry import programs
from techsapo_ops.stack.desired import Desired, Unit
from techsapo_ops.stack.engine import Recorded, Running
from techsapo_ops.stack.observed import Observed
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.step import Plan
from techsapo_ops.stack.templates import Templates
from techsapo_ops.stack.topology import Topology


class Purpose(Enum):
    """What a plan is made for."""

    UP = auto()
    """Everything, also that services run the build which is installed now."""
    BACK = auto()
    """An earlier apply: no service is restarted for the sake of a new build alone."""
    DRIFT = auto()
    """What is no longer as it was left; of what time has made due, the stack's own certificates alone, which
    nothing but an `up` renews."""


@dataclass(frozen=True, slots=True)
class StackPlan:
    """What an apply would do: files to write, steps to perform, in that order."""

    wanted: Snapshot
    files: tuple[FileChange, ...]
    steps: Plan
    observed: Observed
    origins: PlanOrigins = field(default_factory=PlanOrigins)
    """Where each change comes from; of a plan of `up` alone."""
    partial: bool = False
    """Whether it is about some services only."""
    leaves: Recorded | None = None
    """The stack as another engine runs it, which is stopped first."""
    environment: EnvironmentChange | None = None
    """The environment that it leaves, of a plan of `up` or of a roll back."""
    lost: tuple[LostData, ...] = ()
    """Data that is gone; of a plan of `up` alone."""
    restores: int | None = None
    """The apply that it goes back to, of a roll back."""

    @property
    def desired(self) -> Desired:
        """What should exist afterwards."""
        return self.wanted.desired

    @property
    def running(self) -> bool:
        """Whether the stack, or a part of it, is up now."""
        return self.observed.running

    @property
    def changes(self) -> bool:
        """Whether anything would be done."""
        return bool(self.files or self.steps.changes or self.environment)


def desired_state(topology: Topology, templates: Templates) -> Desired:
    """Everything that should exist: rendered files, and the units that read them."""
    files = render_stack(topology, templates)

    units: tuple[Unit, ...] = topology.places.units(
        programs=lambda: programs(topology),
        containers=lambda: container_units(topology, files),
        spread=lambda: swarm_units(topology, files),
    )
    return Desired(topology, files, units)


def wanted_by(stack: Stack) -> Snapshot:
    """What the spec of `stack` wants now."""
    desired = desired_state(stack.topology, stack.templates)
    return Snapshot(desired, stack.spec, stack.templates.overrides())


def plan(
    wanted: Snapshot, running: Running, purpose: Purpose = Purpose.UP, only: Sequence[str] = ()
) -> StackPlan:
    """The plan that leads to `wanted`; changes nothing.

    What runs is read back too, so that a service with another configuration than its notes claim is seen.
    `only` limits it to some services and what they need. Raises HostsAway where nothing is known of what
    runs.
    """
    desired, observed = wanted.desired, running.observe()
    if purpose is not Purpose.BACK:  # which leaves out those that are lost, and asks for a quorum
        observed.require_known()
    steps = by_proof(running.plan(desired, observed, only), desired, running)
    steps = with_own_certificates(steps, desired.topology, observed)
    if purpose is Purpose.UP:
        steps = with_new_build(steps, observed)
    if purpose is not Purpose.DRIFT:
        steps = with_renewed(steps, certificates_due(desired.topology))
    files = changes(desired.files, desired.topology.layout.config)
    return StackPlan(wanted, files, steps, observed, partial=bool(only))


def plan_of(stack: Stack, only: Sequence[str] = ()) -> StackPlan:
    """The plan of `up`, with the origin of each change; changes nothing."""
    wanted = wanted_by(stack)
    stack_plan = replace(
        plan(wanted, stack.engine, Purpose.UP, only),
        leaves=stack.leaves(stack.topology),
        environment=change_of(stack.layout.state, stack.layout.environment),
        lost=lost_data(stack.topology, stack.engine, stack.topology.engine),
    )
    if not stack_plan.changes:
        return stack_plan

    def render(topology: Topology, overrides: Mapping[str, str] | None) -> Desired:
        then = stack.templates if overrides is None else Overridden(None, overrides)
        return desired_state(topology, then)

    return replace(
        stack_plan,
        origins=origin.find(wanted, stack_plan.steps, stack_plan.files, stack_plan.observed, render),
    )
