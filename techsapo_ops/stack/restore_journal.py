"""A note that a restore is under way: what a killed one leaves is neither the old state nor the new."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from techsapo_ops.adapters.files import read_text, remove_file, write_atomic
from techsapo_ops.adapters.lock import held
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.layout import LOCK, Layout
from techsapo_ops.stack.shapes import count, each

HALF = msg("a restore was interrupted half way: the data is neither the old nor the new")
GOES_BACK = msg("`techsapo up` goes back to what was there before, and `techsapo restore` does that first")


@dataclass(frozen=True, slots=True)
class Interrupted:
    """A restore that did not end: the backup of what was there before, and the apps that it stopped.

    `safety` is empty where nothing was there. Where the data is `whole` again, the old or the new, and only
    the apps are left to be started, nobody goes back: what they have written since would be lost.
    """

    safety: str
    kinds: tuple[str, ...]
    apps: tuple[str, ...]
    whole: bool = False
    spent: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By kind, what was spent before, by what the kind calls it: what comes back may say no less."""

    def now_whole(self) -> Interrupted:
        """The same, once nothing of the data is missing."""
        return replace(self, whole=True)

    def now_half(self) -> Interrupted:
        """The same, from when data is replaced."""
        return replace(self, whole=False)


def journal(layout: Layout, left: Interrupted) -> None:
    """Note down that the data is about to be replaced, or that it is whole again."""
    note = {
        "safety": left.safety, "kinds": left.kinds, "apps": left.apps, "whole": left.whole,
        "spent": left.spent,
    }  # fmt: skip
    write_atomic(_path(layout), (json.dumps(note) + "\n").encode(), 0o600)


def finished(layout: Layout) -> None:
    """The data is whole again, and what it was stopped for runs."""
    remove_file(_path(layout))


def interrupted(layout: Layout) -> Interrupted | None:
    """The restore that did not end, if there is one. Raises OpsError for a note that can't be read."""
    path = _path(layout)
    if not path.exists():
        return None
    try:
        found = json.loads(read_text(path, what=msg("note of a restore")))
        spent = found.get("spent", {})
        if not _SPENT(spent):
            raise ValueError
        return Interrupted(
            str(found["safety"]),
            tuple(found["kinds"]),
            tuple(found["apps"]),
            found.get("whole") is True,
            spent,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise OpsError(
            msg("{path} is damaged: it says what a restore that was interrupted replaced", path=path),
            msg("remove it, then bring a backup back: `techsapo restore`"),
        ) from None


def half_restored(layout: Layout) -> Interrupted | None:
    """The restore that left the data half way; none while one is at work, and for a user who may not look.

    For what only tells.
    """
    try:
        left = interrupted(layout)
        if left is None or left.whole or held(layout.state / LOCK):
            return None
    except (OpsError, OSError):
        return None
    return left


def require_none(layout: Layout) -> None:
    """Raise OpsError when a restore was interrupted: the data is not what anyone wants to keep, or to ask."""
    left = interrupted(layout)
    if left is not None and not left.whole:
        raise OpsError(HALF, GOES_BACK)


_SPENT = each(each(count))


def _path(layout: Layout) -> Path:
    return layout.state / "restore.json"
