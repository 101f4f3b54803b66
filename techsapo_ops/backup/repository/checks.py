"""What was found out about backups later: verified, restored on trial, copied off-site.

Alerts and retention go by it, so it lies in the state directory: whoever may write the backups' folder could
else tell that all is well. What concerns the off-site repository has a file of its own, which stays when
`backup prune` removes the backups here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.folders import opened
from techsapo_ops.adapters.packed import cannot_write, open_plain
from techsapo_ops.stack import shapes
from techsapo_ops.stack.layout import Layout

LEVEL = "offsite_deep"
"""Under which a look at an off-site copy is noted, and the level that it tells."""
_LONGEST = 4 * 1024 * 1024


def read(path: Path) -> dict[str, Any]:
    """The checks in the file `path`; those of another shape are left out.

    Of one backup they are `quick`, `deep`, `offsite`, `offsite_deep` and `shrunk`. Empty where there is no
    such file, or none that can be read: then they are to be made anew.
    """
    try:
        with open_plain(path) as file:
            found = json.loads(file.read(_LONGEST))
    except (OSError, ValueError, RecursionError):  # never checked, or torn by a full disk
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if key in _SHAPES and _SHAPES[key](value)}


def write(path: Path, checks: dict[str, Any]) -> None:
    """Replace the file `path`. Raises OpsError."""
    try:
        with opened(path.parent, make=0o700):
            pass
    except OSError as error:
        raise cannot_write(path.parent, error) from None
    write_atomic(path, (json.dumps(checks, ensure_ascii=False, indent=1) + "\n").encode(), 0o600)


def of_offsite(layout: Layout) -> dict[str, Any]:
    """What is known of the off-site copies.

    The `last` look at one, the last `good` one, when all of the repository was `read` last, which copies were
    `there` then, and when a person last typed its password: `typed` is not `ok` before the first time, and
    tells of the first copy then.
    """
    return read(_offsite(layout))


def note_offsite(layout: Layout, **found: Mapping[str, Any]) -> None:
    """Add to that. Raises OpsError where it can't be written."""
    write(_offsite(layout), {**of_offsite(layout), **found})


def _offsite(layout: Layout) -> Path:
    return layout.backup_checks / "offsite.json"


def _moment(value: Any) -> bool:
    try:
        return shapes.text(value) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


_PART = shapes.has(
    kind=shapes.text,
    seconds=shapes.number,
    problems=shapes.listed(shapes.text),
)
_LOOKED = shapes.has(ok=shapes.flag, at=_moment, parts=shapes.listed(_PART))
"""The shape of a look at a backup."""
_SHAPES = {
    "quick": _LOOKED,
    "deep": _LOOKED,
    "offsite_deep": _LOOKED,
    "offsite": shapes.has(ok=shapes.flag, at=_moment),
    "shrunk": shapes.has(ok=shapes.flag, at=_moment),
    "last": _LOOKED,
    "good": _LOOKED,
    "read": shapes.has(ok=shapes.flag, at=_moment),
    "there": shapes.has(place=shapes.sha256, ids=shapes.listed(shapes.text)),
    "typed": shapes.has(ok=shapes.flag, at=_moment),
}
