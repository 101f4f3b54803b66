"""Opens a stack: the one place where its parts are put together."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.adapters.host import gather
from techsapo_ops.cli.environment import acting_user, runner
from techsapo_ops.cli.project import Project
from techsapo_ops.cli.state_directory import layout_beside
from techsapo_ops.engines.choice import Choice, Image, images_of
from techsapo_ops.engines.opening import Opening, docker_of
from techsapo_ops.engines.places import places_of
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.apply.history import History
from techsapo_ops.services.registry import binary_names, kind_of, resolve, service_users
from techsapo_ops.stack.places import EngineName
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.topology import Topology

if TYPE_CHECKING:
    from techsapo_ops.engines.compose.facts import DockerFacts
    from techsapo_ops.health.check import Prober
    from techsapo_ops.spec.models import Spec
    from techsapo_ops.stack.engine import Engine


def _tell_nobody(_: str) -> None:
    pass


def open_stack(
    project: Project,
    engine: EngineName | None = None,
    *,
    seconds: float | None = None,
    tell: Callable[[str], None] = _tell_nobody,
) -> Stack:
    """The stack of `project` on this host; `engine` overrides the spec's.

    `seconds` overrides how long a service may take to become ready, `tell` is told of work that takes
    minutes.
    """
    return stack_on(project, topology_for(project, engine), seconds=seconds, tell=tell)


def stack_on(
    project: Project,
    topology: Topology,
    *,
    seconds: float | None = None,
    tell: Callable[[str], None] = _tell_nobody,
) -> Stack:
    """As open_stack, where its engine was chosen already."""
    opening = Opening(runner(), seconds, tell)
    return Stack(
        spec=project.spec,
        topology=topology,
        engine=opening.engine(project.spec, topology),
        runner=opening.runner,
        directory=project.directory,
        templates=project.templates,
        engines=Opening(runner(), seconds).engine,
        user=acting_user(),
        leaves=opening.recorded_elsewhere,
        check_spec=project.check,
    )


def topology_for(project: Project, engine: EngineName | None = None) -> Topology:
    """Resolve where everything of `project` runs on this host; `engine` overrides the spec's."""
    return choose_engine(project, engine)[0]


def choose_engine(project: Project, engine: EngineName | None = None) -> tuple[Topology, Choice]:
    """As topology_for, with the engine that was chosen and why."""
    socket = project.spec.schedule.docker_socket
    host = gather(
        project.state,
        os.environ.get("PATH", ""),
        binary_names(),
        service_users(),
        Path(socket) if socket is not None else None,
    )
    chosen = Opening(runner()).choose(
        project.spec, project.layout, host, engine, lambda topology: images(project, topology)
    )
    return resolve(project.spec, places_of(chosen.engine), project.layout, host), chosen


def images(project: Project, topology: Topology) -> tuple[Image, ...]:
    """The images that the stack needs in containers."""
    from techsapo_ops.render.compose import compose_files, container_units  # only where nothing runs yet
    from techsapo_ops.render.templates import Templates

    kinds = {service.name: kind_of(service) for service in topology.services}
    # Before a restore the folder of templates may not be there yet; whoever renders says so.
    templates = Templates() if project.overrides.missing else project.templates
    files = compose_files(topology, templates, ())
    return images_of(container_units(topology, files), lambda name: kinds[name].built_from(project.spec))


def docker_facts_for(project: Project, topology: Topology) -> DockerFacts | None:
    """What Docker offers to a stack of the compose engine; None for another engine."""
    if topology.engine == "native":
        return None
    from techsapo_ops.engines.compose.facts import DockerFacts, docker_facts
    from techsapo_ops.engines.compose.recorded import ComposeStack

    if "docker" not in topology.host.binaries:
        return DockerFacts()
    stack = ComposeStack(project.layout, project.spec.project, docker_of(topology, runner()))
    return docker_facts(stack, images(project, topology))


def engine_for(project: Project, topology: Topology) -> Engine:
    """The engine that runs `topology`."""
    return Opening(runner()).engine(project.spec, topology)


def private_prober(spec: Spec, topology: Topology) -> Prober | None:
    """Asks the services that are private to the stack; None for an engine that has none."""
    if topology.engine == "native":
        return None
    from techsapo_ops.adapters.probe import ProbeResult
    from techsapo_ops.engines.compose.engine import ComposeEngine

    engine = ComposeEngine(topology, docker_of(topology, runner()), spec)
    try:
        containers = engine.containers()
    except OpsError as error:
        detail = error.message
        return lambda *_: ProbeResult(False, detail, 0.0)
    return lambda service, timeout: engine.prober.ask(service, timeout, containers)


def history_beside(file: Path, *, seconds: float | None = None) -> History:
    """What was applied to the stack beside the spec `file`, which is not read; otherwise as layout_beside.

    `seconds` overrides how long a service may take to become ready.
    """
    opening = Opening(runner(), seconds)
    return History(layout_beside(file), opening.engine, opening.recorded_elsewhere, acting_user())
