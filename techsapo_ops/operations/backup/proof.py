"""What the last looks at the off-site copies found, kept when `backup prune` removes the backups here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.adapters.folders import opened
from techsapo_ops.adapters.packed import cannot_write, open_plain
from techsapo_ops.backup.checks import LOOKED
from techsapo_ops.stack.layout import Layout

LEVEL = "offsite_deep"
"""Under which such a look is noted, and the level that it tells."""
_FILE = "offsite-proof.json"
_LONGEST = 1024 * 1024


def proofs(layout: Layout) -> dict[str, Any]:
    """The `last` look and the last `good` one, as they were noted; what is missing or damaged is left out."""
    try:
        with open_plain(_path(layout)) as file:
            found = json.loads(file.read(_LONGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: found[key] for key in ("last", "good") if LOOKED(found.get(key))}


def note_proof(layout: Layout, look: Mapping[str, Any]) -> None:
    """Note a look. Raises OpsError where it can't be written."""
    kept = {**proofs(layout), "last": look, **({"good": look} if look["ok"] else {})}
    path = _path(layout)
    try:
        with opened(path.parent, make=0o700):
            pass
    except OSError as error:
        raise cannot_write(path.parent, error) from None
    write_atomic(path, (json.dumps(kept, ensure_ascii=False, indent=1) + "\n").encode(), 0o600)


def _path(layout: Layout) -> Path:
    return layout.backup_checks / _FILE
