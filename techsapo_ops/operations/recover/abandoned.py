"""A recovery that is given up: what it has made goes, and nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from techsapo_ops.adapters.folders import remove_empty
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.operations.recover.doors import Doors
from techsapo_ops.operations.recover.journal import HOSTS, Desk


def abandon(
    desk: Desk, doors: Doors, stop: Callable[[Path], object], *, wait: float = 0.0
) -> tuple[str, ...]:
    """Remove what a recovery that did not end has made, and nothing else; returns what that was. Of folders
    that it made for something else, those go that are empty then.

    `stop` ends what runs of the stack of a spec, and removes its data. Raises OpsError where there is none,
    and where it is at work for longer than `wait` seconds.
    """
    if desk.read() is None:
        raise OpsError(
            msg("no recovery is under way in {parent}", parent=desk.state.parent), msg("see --into")
        )
    with desk.lock(wait):
        journal = desk.read()
        if journal is None:  # it has ended meanwhile: what it made is a stack now
            raise OpsError(
                msg("the recovery into {parent} has just ended", parent=desk.state.parent),
                msg("`techsapo down` stops it"),
            )
        # Before its hosts were one Swarm nothing was started; what such hosts have by now is another stack's.
        if journal.spec and (HOSTS not in journal.steps or journal.has(HOSTS)):
            stop(Path(journal.spec))
        if journal.schedule:
            doors.remove_schedule(Path(journal.spec), journal.environment)
        gone = []
        for path in map(Path, reversed(journal.made)):
            if os.path.lexists(path) and not path.is_relative_to(desk.state):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
                gone.append(str(path))
        desk.remove()
        empty = remove_empty([Path(folder) for folder in journal.folders])
    return (*gone, str(desk.state), *map(str, empty))
