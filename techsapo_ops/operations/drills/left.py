"""What a drill makes beside the stack is noted before it is made: one that was killed leaves nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from techsapo_ops.adapters.files import private_folder
from techsapo_ops.engines.native.recorded import NativeStack
from techsapo_ops.errors import OpsError
from techsapo_ops.stack.layout import Layout

SCRATCH = "scratch-"
"""How the folder of a scratch stack begins, below `drills`."""


@contextmanager
def scratch(layout: Layout, name: str) -> Iterator[Path]:
    """A folder for one drill's own stack; what runs in it is stopped, and it is gone, after the block."""
    folder = layout.drills / f"{SCRATCH}{name}"
    private_folder(folder, layout.state)
    try:
        yield folder
    finally:
        _remove(folder)


def clean(layout: Layout) -> Iterator[str]:
    """Stop and remove what killed drills have left; a line for each. The caller is the one drill."""
    try:
        found = sorted(p for p in layout.drills.iterdir() if p.name.startswith(SCRATCH) and p.is_dir())
    except OSError:
        return
    for folder in found:
        if folder.is_symlink():
            continue
        _remove(folder)
        yield f"a drill that was cut short had left {folder.name}: it is removed"


def _remove(folder: Path) -> None:
    for state in sorted(folder.glob("*/.techsapo")):
        with suppress(OpsError):
            NativeStack(Layout(state=state, config=state / "generated")).stop(remove_data=True)
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise OpsError(f"cannot remove {folder}, which a drill has made", "remove it by hand")
