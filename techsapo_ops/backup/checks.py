"""What was found out about backups later: verified, restored on trial, copied off-site.

Alerts and retention go by it, so it lies in the state directory: whoever may write the backups' folder could
else tell that all is well. A copy beside each backup is for people.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.packed import open_plain
from techsapo_ops.stack import shapes

_LONGEST = 4 * 1024 * 1024


def read(path: Path) -> dict[str, Any]:
    """The checks in the file `path`, by `quick`, `deep`, `offsite`, `offsite_deep` and `shrunk`.

    Those of another shape are left out.

    Empty where there is none, or none that can be read: then they are to be made anew.
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
    """Replace the file `path`."""
    write_atomic(path, (json.dumps(checks, ensure_ascii=False, indent=1) + "\n").encode(), 0o600)


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
LOOKED = shapes.has(ok=shapes.flag, at=_moment, parts=shapes.listed(_PART))
"""The shape of a look at a backup."""
_SHAPES = {
    "quick": LOOKED,
    "deep": LOOKED,
    "offsite_deep": LOOKED,
    "offsite": shapes.has(ok=shapes.flag, at=_moment),
    "shrunk": shapes.has(ok=shapes.flag, at=_moment),
}
