"""What is made of a kind of service that the package does not know."""

from __future__ import annotations

from pathlib import Path

from fakes.memory_engine import Process, World
from fakes.toy.kind import Toy
from rows import each_row
from stacks import spec, templates, topology

from techsapo_ops.apply.plan import desired_state
from techsapo_ops.apply.steps import by_proof
from techsapo_ops.render.compose import compose_files, container_units
from techsapo_ops.services.registry import including
from techsapo_ops.stack.desired import ContainerUnit
from techsapo_ops.stack.step import Action, Plan, Step


def unit_of(toy: Toy, directory: Path) -> ContainerUnit:
    with including(toy):
        where = topology(spec(), directory, "compose")
        files = compose_files(where, templates(), ())
        (unit,) = (unit for unit in container_units(where, files) if unit.service == "toy")
        return unit


class Deaf(Toy):
    """It can be told of a change as a process, but not in its container."""

    reload_command = ()


def test_a_container_that_can_not_be_told_of_a_change_is_restarted(tmp_path: Path) -> None:
    assert unit_of(Toy(9777), tmp_path).reload_signal == "HUP"
    assert unit_of(Deaf(9777), tmp_path).reload_signal is None


@each_row("kind, action", [(Toy, Action.RELOAD), (Deaf, Action.RECREATE)])
def test_one_that_runs_another_configuration_than_its_notes_say_is_told_only_where_that_is_possible(
    tmp_path: Path, kind: type[Toy], action: Action
) -> None:
    with including(kind(9777)):
        desired = desired_state(topology(spec(), tmp_path, "compose"), templates())
        world = World(running=True)
        unit = desired.unit("toy")
        assert unit is not None
        world.processes["toy"] = Process(unit, "another configuration", 7)
        quiet = Plan((Step(Action.NOTHING, "toy", "up to date"),))
        (step,) = by_proof(quiet, desired, world.engine(desired.topology)).steps
        assert step.action is action
