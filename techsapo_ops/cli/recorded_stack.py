"""The stack beside a spec as it was brought up last, for commands that need no spec."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.cli.environment import runner
from techsapo_ops.cli.place import layout_beside
from techsapo_ops.engines.opening import may_be_newer_elsewhere, recorded, recorded_on

if TYPE_CHECKING:
    from techsapo_ops.engines.containers.stack import ContainerStack
    from techsapo_ops.engines.native.recorded import NativeStack


def recorded_stack(file: Path) -> NativeStack | ContainerStack:
    """The stack beside the spec `file`; so `ps`, `logs` and `down` work while the spec is broken or gone.

    Raises UntrustedError where others could change it.
    """
    layout = layout_beside(file)
    if may_be_newer_elsewhere(layout, file):
        from techsapo_ops.cli.open_stack import bring_newest, machines_in_spec

        note = machines_in_spec(file, layout)
        if bring_newest(layout, note) and note is not None:
            # Nothing is noted here, and what is noted there can't be had: of none is it known that it is not.
            return recorded_on(layout, note, runner())
    return recorded(layout, runner())
