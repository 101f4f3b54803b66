"""Brings the state directory of a stack on several machines up to date before a command looks at it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from techsapo_ops.adapters.unreachable import HostsAway, away_of, reasons_of
from techsapo_ops.cli.environment import runner
from techsapo_ops.cli.output import Output
from techsapo_ops.engines.at_work import refresh
from techsapo_ops.engines.opening import may_be_elsewhere_alone
from techsapo_ops.engines.swarm.machines_note import MachinesNote, noted_machines
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.service import machines_of


def told_by_spec(file: Path, layout: Layout) -> MachinesNote | None:
    """The machines of the spec `file`, where no command of this folder has ever looked at them.

    None where one has, and for a spec that names no hosts or can't be read: commands that need none go on.
    """
    if not may_be_elsewhere_alone(layout, file):
        return None
    from techsapo_ops.cli.project import open_project

    with suppress(OpsError):
        spec = open_project(file).spec
        return MachinesNote(spec.project, machines_of(spec))
    return None


def machines_of_stack(file: Path, layout: Layout) -> MachinesNote:
    """Where the stack of the spec `file` is, by its state directory, or else by what the spec says."""
    told = told_by_spec(file, layout)
    return noted_machines(layout.state) if told is None else told


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
        out.warn(msg("what other hosts have applied since is not known here: {why}", why=why))
        return away_of(error)
    return {}
