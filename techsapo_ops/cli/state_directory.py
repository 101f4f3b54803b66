"""The state directory beside a spec, which is found without reading the spec, and whether root may use it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from techsapo_ops.adapters.folders import STATE_DIRECTORY
from techsapo_ops.stack.layout import Layout


def require_trust(file: Path | None, *, others: Iterable[Path] = ()) -> None:
    """As root, see that nobody else can change the spec `file`, what is beside it, this program or `others`;
    with None for what is of no project.

    Before anything is read: a spec names files to read, a template decides what is written, and what is in
    the state directory is run. Raises UntrustedError, which says how to allow it; a few dozen lstat calls.
    """
    if os.geteuid() == 0:
        from techsapo_ops.operations.root_trust import require_trust as require  # for root alone

        require(file.resolve() if file is not None else None, others=[path.absolute() for path in others])


def layout_beside(file: Path, *, trusted: bool = True) -> Layout:
    """The directories of the stack beside the spec `file`; the spec itself is not read.

    Raises UntrustedError where root must not use them; `trusted=False` is for who sees to that otherwise.
    """
    if trusted:
        require_trust(file)
    path = file.resolve()
    state = path.parent / STATE_DIRECTORY
    return Layout(state=state, config=state / "generated", spec=path)
