"""What is made of a kind of service that the package does not know."""

from __future__ import annotations

from pathlib import Path

from fakes.toy.kind import Toy
from stacks import spec, topology

from techsapo_ops.render.compose import compose_files, container_units
from techsapo_ops.render.templates import Templates
from techsapo_ops.services.registry import including
from techsapo_ops.stack.desired import ContainerUnit


def unit_of(toy: Toy, directory: Path) -> ContainerUnit:
    with including(toy):
        where = topology(spec(), directory, "compose")
        files = compose_files(where, Templates(), ())
        (unit,) = (unit for unit in container_units(where, files) if unit.service == "toy")
        return unit


def test_a_container_that_can_not_be_told_of_a_change_is_restarted(tmp_path: Path) -> None:
    class Deaf(Toy):
        reload_command = ()

    assert unit_of(Toy(9777), tmp_path).reload_signal == "HUP"
    assert unit_of(Deaf(9777), tmp_path).reload_signal is None
