"""Notes which edition of the defaults a stack began with; `began_with` in cli/state_directory.py reads it."""

from __future__ import annotations

from techsapo_ops.adapters.files import write_atomic
from techsapo_ops.stack.layout import Layout


def note_edition(layout: Layout) -> None:
    """Note which edition the stack began with, unless it is noted. Raises OpsError where that fails."""
    if not layout.edition_note.exists():
        write_atomic(layout.edition_note, f"{layout.began_with}\n".encode(), 0o644)
