"""A note that a restore is under way: what a killed one leaves is neither the old state nor the new."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.adapters.files import read_text, remove_file, write_atomic
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.layout import Layout


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A restore that did not end: the backup of what was there before, and the apps that it stopped.

    `safety` is empty where nothing was there.
    """

    safety: str
    kinds: tuple[str, ...]
    apps: tuple[str, ...]


def journal(layout: Layout, safety: str, kinds: Sequence[str], apps: Sequence[str]) -> None:
    """Note down that the data is about to be replaced."""
    note = {"safety": safety, "kinds": list(kinds), "apps": list(apps)}
    write_atomic(_path(layout), (json.dumps(note) + "\n").encode(), 0o600)


def finished(layout: Layout) -> None:
    """The data is whole again."""
    remove_file(_path(layout))


def interrupted(layout: Layout) -> Interrupted | None:
    """The restore that did not end, if there is one."""
    path = _path(layout)
    if not path.exists():
        return None
    found = json.loads(read_text(path, what=msg("note of a restore")))
    return Interrupted(found["safety"], tuple(found["kinds"]), tuple(found["apps"]))


def require_none(layout: Layout) -> None:
    """Raise OpsError when a restore was interrupted: the data is not what anyone wants to keep."""
    if interrupted(layout) is not None:
        raise OpsError(
            msg("a restore was interrupted half way: the data is neither the old nor the new"),
            msg("`techsapo restore` goes back to what was there before"),
        )


def _path(layout: Layout) -> Path:
    return layout.state / "restore.json"
