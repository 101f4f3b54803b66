"""The stack beside a spec as it was brought up last, for commands that need no spec."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.cli.environment import runner
from techsapo_ops.cli.state_directory import layout_beside
from techsapo_ops.engines.opening import recorded

if TYPE_CHECKING:
    from techsapo_ops.engines.containers.stack import ContainerStack
    from techsapo_ops.engines.native.recorded import NativeStack
    from techsapo_ops.stack.layout import Layout


def recorded_stack(file: Path) -> NativeStack | ContainerStack:
    """The stack beside the spec `file`; so `ps`, `logs` and `down` work while the spec is broken or gone.

    Raises UntrustedError where root must not use it.
    """
    layout = layout_beside(file)
    if _has_several(layout):
        from techsapo_ops.cli.newest_state import bring_newest

        bring_newest(layout)
    return recorded(layout, runner())


def _has_several(layout: Layout) -> bool:
    """Whether its stack was brought up on several machines; most are not, and need nothing of that."""
    try:
        return layout.machines_note.exists()
    except PermissionError:  # of another user: whoever reads the rest says so
        return False
