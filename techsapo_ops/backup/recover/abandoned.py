"""A recovery that is given up: what it has made goes, and nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from techsapo_ops.adapters.folders import remove_empty
from techsapo_ops.backup.recover.doors import Doors
from techsapo_ops.backup.recover.journal import Desk
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg


def abandon(
    desk: Desk, doors: Doors, stop: Callable[[Path], object], *, wait: float = 0.0
) -> tuple[str, ...]:
    """Remove what a recovery that did not end has made, and nothing else; returns what that was. Of folders
    that it made for something else, those go that are empty then.

    Each step that was begun is undone, the last one first. `stop` ends what runs of the stack of a spec, and
    removes its data. Raises OpsError where there is none, and where it is at work for longer than `wait`
    seconds.
    """
    if desk.journal.read() is None:
        raise OpsError(
            msg("no recovery is under way in {parent}", parent=desk.state.parent), msg("see --into")
        )
    with desk.lock(wait):
        entry = desk.journal.read()
        if entry is None:  # it has ended meanwhile: what it made is a stack now
            raise OpsError(
                msg("the recovery into {parent} has just ended", parent=desk.state.parent),
                msg("`techsapo down` stops it"),
            )
        facts, gone = entry.facts, list[str]()
        opposites: dict[str, Callable[[], object]] = {
            "place": lambda: gone.extend(_remove(facts.made, desk.state)),
            "up": lambda: stop(Path(facts.spec)),
        }
        if facts.scheduled:
            opposites["schedule"] = lambda: doors.remove_schedule(Path(facts.spec), facts.environment)
        for step in reversed(facts.steps):
            if entry.begun(step) and step in opposites:
                opposites[step]()
        desk.remove()
        empty = remove_empty([Path(folder) for folder in facts.folders])
    return (*gone, str(desk.state), *map(str, empty))


def _remove(made: Sequence[str], state: Path) -> Iterator[str]:
    """Remove what was put outside the state directory, the last first; yields what was there."""
    for path in map(Path, reversed(made)):
        if os.path.lexists(path) and not path.is_relative_to(state):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            yield str(path)
