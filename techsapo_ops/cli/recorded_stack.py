"""The stack beside a spec as it was brought up last, for commands that need no spec."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.cli.environment import runner
from techsapo_ops.cli.newest_state import bring_newest
from techsapo_ops.cli.state_directory import layout_beside
from techsapo_ops.engines.opening import recorded

if TYPE_CHECKING:
    from techsapo_ops.engines.compose.recorded import ComposeStack
    from techsapo_ops.engines.native.recorded import NativeStack


def recorded_stack(file: Path) -> NativeStack | ComposeStack:
    """The stack beside the spec `file`; so `ps`, `logs` and `down` work while the spec is broken or gone.

    Raises UntrustedError where root must not use it.
    """
    layout = layout_beside(file)
    bring_newest(layout)
    return recorded(layout, runner())
