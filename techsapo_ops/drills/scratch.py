"""The folder of a scratch copy: its name says that it is a drill's, so that nothing of a killed one stays."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from techsapo_ops.adapters.folders import STATE_DIRECTORY, opened
from techsapo_ops.adapters.packed import cannot_write
from techsapo_ops.adapters.process import Runner
from techsapo_ops.engines.opening import recorded
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.layout import DRILL_FOLDERS, Layout


@contextmanager
def scratch(layout: Layout, runner: Runner, name: str) -> Iterator[Path]:
    """A folder for one drill's own stack; what runs in it is stopped, and it is gone, after the block.

    Raises OpsError where it can't be made, or removed.
    """
    folder = layout.state / f"{DRILL_FOLDERS}{name}"
    try:
        with opened(folder, make=0o755):
            pass
    except OSError as error:
        raise cannot_write(folder, error) from None
    try:
        yield folder
    finally:
        _remove(folder, runner)


def clean(layout: Layout, runner: Runner) -> Iterator[str]:
    """Stop and remove what killed drills have left; a line for each. The caller is the one drill."""
    try:
        found = sorted(p for p in layout.state.iterdir() if p.name.startswith(DRILL_FOLDERS))
    except OSError:
        return
    for folder in found:
        if folder.is_symlink() or not folder.is_dir():
            continue
        _remove(folder, runner)
        yield msg("a drill that was cut short had left {folder}: it is removed", folder=folder.name)


def _remove(folder: Path, runner: Runner) -> None:
    state = folder / "stack" / STATE_DIRECTORY
    if os.path.lexists(state):
        file = folder / "stack" / "techsapo.yaml"
        try:
            recorded(Layout(state, state / "generated", file), runner).stop(remove_data=True)
        except OpsError as error:  # without the folder nobody would find what runs
            raise OpsError(
                msg(
                    "what a drill has begun in {folder} can't be stopped: {message}",
                    folder=folder,
                    message=error.message,
                ),
                msg(
                    "the next drill tries again; by hand: `techsapo down --volumes --file {file}`", file=file
                ),
            ) from None
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise OpsError(
            msg("cannot remove {folder}, which a drill has made", folder=folder), msg("remove it by hand")
        )
