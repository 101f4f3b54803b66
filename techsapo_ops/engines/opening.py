"""Which engine a stack has, and the way to it: the one place that knows them all."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from techsapo_ops.engines.state import STATE, recorded_engine
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

if TYPE_CHECKING:
    from pathlib import Path

    from techsapo_ops.adapters.fleet import Fleet
    from techsapo_ops.adapters.host_facts import HostFacts
    from techsapo_ops.adapters.process import Runner
    from techsapo_ops.engines.auto import Choice, Image
    from techsapo_ops.engines.containers.stack import ContainerStack
    from techsapo_ops.engines.native.recorded import NativeStack
    from techsapo_ops.engines.swarm.machines_note import MachinesNote
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.engine import Engine
    from techsapo_ops.stack.health import HostReport
    from techsapo_ops.stack.layout import Layout
    from techsapo_ops.stack.places import EngineName
    from techsapo_ops.stack.service import Machine
    from techsapo_ops.stack.topology import Topology


def tell_nobody(_: str) -> None:
    """Nobody is told of work that takes minutes."""


@dataclass(frozen=True, slots=True)
class Opening:
    """Builds engines, all by the same `runner`.

    `seconds` overrides how long a service may take to become ready; `tell` is told of work that takes
    minutes, such as the build of an image.
    """

    runner: Runner
    seconds: float | None = None
    tell: Callable[[str], None] = tell_nobody
    fleets: dict[tuple[Machine, ...], Fleet] = field(default_factory=dict, compare=False)
    """The clients of several machines: engines of the same ones look by one, and wait once for a lost one."""

    def choose(
        self,
        spec: Spec,
        layout: Layout,
        host: HostFacts,
        asked: EngineName | None,
        images: Callable[[Topology], Sequence[Image]],
    ) -> Choice:
        """The engine that is `asked` for, that the stack has, or that the spec means on this host.

        `images` tells those that a stack in containers needs.
        """
        from techsapo_ops.engines import auto
        from techsapo_ops.services.registry import resolve
        from techsapo_ops.stack.places import COMPOSE

        chosen = auto.explicit(spec, layout, asked)
        if chosen is not None:
            return chosen
        wanted = images(resolve(spec, COMPOSE, layout, host)) if "docker" in host.binaries else ()
        return auto.find_out(wanted, host.binaries, self.runner)

    def engine(self, topology: Topology) -> Engine:
        """The engine that runs `topology`."""
        if topology.machines:
            from techsapo_ops.engines.swarm.engine import SwarmEngine
            from techsapo_ops.engines.swarm.machines_note import fleet_of

            fleet = self.fleets.setdefault(topology.machines, fleet_of(topology.machines, self.runner))
            return SwarmEngine(topology, fleet, seconds=self.seconds, tell=self.tell)
        if topology.engine == "compose":
            from techsapo_ops.adapters.docker import Docker
            from techsapo_ops.engines.compose.engine import ComposeEngine

            return ComposeEngine(topology, Docker(self.runner), seconds=self.seconds, tell=self.tell)
        from techsapo_ops.engines.native.engine import NativeEngine

        return NativeEngine(topology, self.runner, os.environ, seconds=self.seconds)

    def recorded_elsewhere(self, topology: Topology) -> NativeStack | ContainerStack | None:
        """The stack as another engine than that of `topology` brought it up, where that one still has it."""
        layout = topology.layout
        if recorded_engine(layout.state) is None and not layout.machines_note.exists():
            return None
        stack = recorded(layout, self.runner)
        return stack if stack.name != topology.engine else None

    def host_report(self, topology: Topology, images: Callable[[Topology], Sequence[Image]]) -> HostReport:
        """What the engine of `topology` needs of this host; `images` as for `choose`."""
        if topology.engine == "compose":
            from techsapo_ops.adapters.docker import Docker
            from techsapo_ops.engines.compose.recorded import ComposeStack
            from techsapo_ops.engines.host_report import DockerFacts, docker_facts, report_of_docker

            docker = DockerFacts()
            if "docker" in topology.host.binaries:
                stack = ComposeStack(topology.layout, topology.spec.project, Docker(self.runner))
                docker = docker_facts(stack, images(topology))
            return report_of_docker(topology, docker)
        from techsapo_ops.engines.host_report import report_of_programs

        return report_of_programs(topology)


def on_several(layout: Layout) -> bool:
    """Whether the stack is on several machines, or is on none and was to be on these.

    On its way from one host it is stopped there before anything starts on these: of a command that was
    killed then, their note may be all that other hosts have.
    """
    last = recorded_engine(layout.state)
    if last is None or last.stopped:
        return layout.machines_note.exists() or (last is not None and last.engine == "swarm")
    return last.engine == "swarm"


def may_be_newer_elsewhere(layout: Layout, spec: Path) -> bool:
    """Whether other machines may know more of the stack than its state directory here. `spec` is its file.

    Most are on one host, and are spared what it takes to find out.
    """
    return layout.machines_note.exists() or may_be_elsewhere_alone(layout, spec)


def may_be_elsewhere_alone(layout: Layout, spec: Path) -> bool:
    """Whether it may have been brought up on several machines from elsewhere, without a trace here."""
    try:
        traces = (layout.machines_note, layout.state / STATE)
        return not any(path.exists() for path in traces) and b"hosts:" in spec.read_bytes()
    except OSError:  # no spec, or of another user: whoever reads the rest says so
        return False


def leaving_one_host(layout: Layout) -> bool:
    """Whether the stack is to move to several machines, and is not known to have left the one it was on."""
    return layout.machines_note.exists() and not on_several(layout)


def recorded_on(layout: Layout, note: MachinesNote, runner: Runner) -> ContainerStack:
    """The stack of `layout` as it is on the machines of `note`."""
    from techsapo_ops.engines.swarm.machines_note import fleet_of
    from techsapo_ops.engines.swarm.recorded import SwarmStack

    return SwarmStack(layout, note.project, fleet_of(note.machines, runner), note.machines)


def recorded(layout: Layout, runner: Runner) -> NativeStack | ContainerStack:
    """The stack of `layout` as an engine brought it up last, which its state directory tells.

    Where its notes are gone, containers that were made from that folder still tell of it.
    """
    last = recorded_engine(layout.state)
    if on_several(layout):
        from techsapo_ops.engines.swarm.machines_note import noted_machines

        # A first `up` that was cut short elsewhere has recorded no service here, and may have started some.
        return recorded_on(layout, noted_machines(layout.state), runner)
    if last is not None and last.engine not in {"compose", "native"}:
        raise OpsError(
            msg(
                "the stack was started with the engine {engine}, which this techsapo does not support",
                engine=last.engine,
            ),
            msg("use the version of techsapo that started the stack"),
        )
    name = last.project if last is not None and last.engine == "compose" else None
    if last is None:
        name = _orphaned_project(layout, runner)
    if name is not None:
        from techsapo_ops.adapters.docker import Docker
        from techsapo_ops.engines.compose.recorded import ComposeStack

        return ComposeStack(layout, name, Docker(runner))
    from techsapo_ops.engines.native.recorded import NativeStack

    return NativeStack(layout)


def _orphaned_project(layout: Layout, runner: Runner) -> str | None:
    """The compose project whose containers were made from this stack's files, if there are any."""
    from techsapo_ops.adapters.process import which

    if which("docker") is None:
        return None
    from techsapo_ops.adapters.docker import Docker

    try:
        containers = Docker(runner).containers()
    except OpsError:  # no daemon, so no containers
        return None
    return next((c.project for c in containers if c.folder.is_relative_to(layout.config)), None)
