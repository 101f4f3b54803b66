"""Opens a stack: the one place where its parts are put together, with the newest state of its hosts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.adapters.host import gather
from techsapo_ops.adapters.unreachable import HostsAway, away_of, reasons_of
from techsapo_ops.apply.audit_database import AuditDatabase
from techsapo_ops.apply.ledger_entry import change_of
from techsapo_ops.cli.environment import acting_user, runner
from techsapo_ops.cli.output import Output
from techsapo_ops.cli.place import layout_beside
from techsapo_ops.cli.project import Project, open_project
from techsapo_ops.engines.at_work import refresh
from techsapo_ops.engines.auto import Choice, Image, images_of
from techsapo_ops.engines.opening import Opening, may_be_elsewhere_alone, tell_nobody
from techsapo_ops.engines.swarm.machines_note import MachinesNote, noted_machines
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.services.registry import binary_names, kind_of, resolve, service_users
from techsapo_ops.spec import NO_ENVIRONMENT
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.places import EngineName, places_of
from techsapo_ops.stack.service import machines_of
from techsapo_ops.stack.stack import Stack
from techsapo_ops.stack.topology import Topology

if TYPE_CHECKING:
    from techsapo_ops.apply.history import History
    from techsapo_ops.stack.health import HostReport


def open_stack(
    project: Project,
    engine: EngineName | None = None,
    *,
    seconds: float | None = None,
    tell: Callable[[str], None] = tell_nobody,
) -> Stack:
    """The stack of `project` on this host; `engine` overrides the spec's.

    `seconds` overrides how long a service may take to become ready, `tell` receives a line about work
    that takes minutes.
    """
    return stack_on(project, topology_for(project, engine), seconds=seconds, tell=tell)


def stack_on(
    project: Project,
    topology: Topology,
    *,
    seconds: float | None = None,
    tell: Callable[[str], None] = tell_nobody,
) -> Stack:
    """As open_stack, where its engine was chosen already."""
    bring_newest(project.layout, MachinesNote(project.spec.project, topology.machines))
    if topology.places.state_travels:
        _require_same_environment(project)
    opening = Opening(runner(), seconds, tell)
    return Stack(
        topology=topology,
        engine=opening.engine(topology),
        runner=opening.runner,
        directory=project.directory,
        templates=project.templates,
        engines=Opening(runner(), seconds, fleets=opening.fleets).engine,
        user=acting_user(),
        leaves=opening.recorded_elsewhere,
        following=AuditDatabase(opening.runner),
        check_spec=project.check,
        disabled=project.loaded.disabled,
    )


def _require_same_environment(project: Project) -> None:
    """Raise OpsError where another host, whose state came just now, has applied another environment."""
    if project.remembered and (change := change_of(project.state, project.loaded.environment)) is not None:
        raise OpsError(
            msg(
                "another host has applied environment {name} in the meantime",
                name=change.before or NO_ENVIRONMENT,
            ),
            msg("nothing was changed: run the command again"),
        )


def topology_for(project: Project, engine: EngineName | None = None) -> Topology:
    """Resolve where everything of `project` runs on this host; `engine` overrides the spec's."""
    return choose_engine(project, engine)[0]


def choose_engine(project: Project, engine: EngineName | None = None) -> tuple[Topology, Choice]:
    """As topology_for, with the engine that was chosen and why."""
    host = gather(project.state, os.environ.get("PATH", ""), binary_names(), service_users())
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
    templates = Templates() if project.unusable is not None else project.templates
    files = compose_files(topology, templates, ())
    return images_of(container_units(topology, files), lambda name: kinds[name].built_from(project.spec))


def host_report(project: Project, topology: Topology) -> HostReport:
    """What the stack's engine needs of this host."""
    return Opening(runner()).host_report(topology, lambda where: images(project, where))


def history_beside(file: Path, *, seconds: float | None = None) -> History:
    """What was applied to the stack beside the spec `file`, which is not read; otherwise as layout_beside.

    `seconds` overrides how long a service may take to become ready. Raises HostsAway where only hosts that
    do not answer know what was.
    """
    from techsapo_ops.apply.history import History  # with all that an apply records

    opening = Opening(runner(), seconds)
    layout = layout_beside(file)
    note = machines_in_spec(file, layout)
    if (away := bring_newest(layout, note)) and note is not None:
        raise HostsAway(away)
    return History(
        layout, opening.engine, opening.recorded_elsewhere, acting_user(),
        following=AuditDatabase(opening.runner),
    )  # fmt: skip


def machines_in_spec(file: Path, layout: Layout) -> MachinesNote | None:
    """The machines of the spec `file`, where no command of this folder has ever looked at them.

    None where one has, and for a spec that names no hosts or can't be read: commands that need none go on.
    """
    if not may_be_elsewhere_alone(layout, file):
        return None
    with suppress(OpsError):
        spec = open_project(file).spec
        return MachinesNote(spec.project, machines_of(spec))
    return None


def machines_of_stack(file: Path, layout: Layout) -> MachinesNote:
    """Where the stack of the spec `file` is, by its state directory, or else by what the spec says."""
    note = machines_in_spec(file, layout)
    return noted_machines(layout.state) if note is None else note


def bring_newest(layout: Layout, note: MachinesNote | None = None) -> Mapping[str, str]:
    """Fetch what another machine has shared since; nothing for a stack of one host.

    `note` says which machines, where that is known better than by the state directory. A command that only
    looks goes on with what is here where no quorum answers, and says so on stderr. Returns the hosts without
    which there is none, and why they do not answer.
    """
    known = noted_machines(layout.state) if note is None else note
    out = Output()
    try:
        refresh(layout, known, runner(), out.say)
    except OpsError as error:
        # The names alone are what the command ends with.
        why = reasons_of(error.unreachable) if isinstance(error, HostsAway) else error.message
        out.warn(msg("this host can't tell whether other hosts have applied anything newer: {why}", why=why))
        return away_of(error)
    return {}
