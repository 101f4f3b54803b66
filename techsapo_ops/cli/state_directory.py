"""The state directory beside a spec, which is found without reading the spec."""

from __future__ import annotations

from pathlib import Path

from techsapo_ops.adapters.folders import STATE_DIRECTORY
from techsapo_ops.cli.trusted_project import require_trust
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.state_format import require_format


def layout_beside(file: Path, *, trusted: bool = True) -> Layout:
    """The directories of the stack beside the spec `file`; the spec itself is not read.

    Raises UntrustedError where others could change them, OpsError for those of another version;
    `trusted=False` is for who sees to trust otherwise.
    """
    if trusted:
        require_trust(file)
    path = file.resolve()
    state = path.parent / STATE_DIRECTORY
    require_format(state)
    return Layout(state=state, config=state / "generated", spec=path)
