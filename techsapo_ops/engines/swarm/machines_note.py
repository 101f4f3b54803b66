"""Which machines a stack was brought up on, for commands without a spec: machines.json beside its state."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.adapters.folders import keep_out_of_git, opened
from techsapo_ops.adapters.json_files import write_json
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.layout import MACHINES_NOTE
from techsapo_ops.stack.service import Machine

if TYPE_CHECKING:
    from techsapo_ops.adapters.fleet import Fleet
    from techsapo_ops.adapters.process import Runner


@dataclass(frozen=True, slots=True)
class MachinesNote:
    """The machines of a stack and its name there."""

    project: str = ""
    machines: tuple[Machine, ...] = ()


def note_machines(state: Path, project: str, machines: Sequence[Machine]) -> None:
    """Note them, where they are others than before. Raises OpsError where that can't be written."""
    if noted_machines(state) != MachinesNote(project, tuple(machines)):
        with opened(state, make=0o777):
            pass
        keep_out_of_git(state)
        value = {"project": project, "machines": [asdict(machine) for machine in machines]}
        write_json(state / MACHINES_NOTE, value)


def noted_machines(state: Path) -> MachinesNote:
    """Those of the last apply; none before the first, and where another user keeps the note to himself.

    Raises OpsError for a damaged note.
    """
    try:
        value = json.loads((state / MACHINES_NOTE).read_text(encoding="utf-8"))
        return MachinesNote(value["project"], tuple(Machine(**entry) for entry in value["machines"]))
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # whoever reads the rest says so
        return MachinesNote()
    except (ValueError, TypeError, KeyError):
        raise OpsError(
            msg("{path} is damaged", path=state / MACHINES_NOTE),
            msg("remove that file and run `techsapo up`, which writes it again"),
        ) from None


def fleet_of(machines: Sequence[Machine], runner: Runner) -> Fleet:
    """The docker clients of several machines."""
    from techsapo_ops.adapters.fleet import Fleet

    return Fleet(runner, "docker", {machine.name: machine.docker for machine in machines})
