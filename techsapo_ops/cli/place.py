"""Which spec a command is about, and the state directory beside it; the spec is not read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.adapters.folders import STATE_DIRECTORY
from techsapo_ops.cli.trusted_project import require_trust
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.spec.user_path import user_path
from techsapo_ops.stack.layout import Layout
from techsapo_ops.stack.state_format import require_format

DEFAULT_SPEC = Path("techsapo.yaml")
_OTHER_SPEC = DEFAULT_SPEC.with_suffix(".yml")
FILE_VARIABLE = "TECHSAPO_FILE"
ENVIRONMENT_VARIABLE = "TECHSAPO_ENVIRONMENT"


@dataclass(frozen=True, slots=True)
class SpecLocation:
    """The spec at `path`, which need not be there.

    `announce` says whether the user sees which one it is, `why` what to say where it is missing: who
    named it, or which one was not taken.
    """

    path: Path
    announce: bool = False
    why: str = ""


def find(given: Path | None) -> SpecLocation:
    """The spec that a command is about.

    Folders above are searched as git searches for a repository: up to the border of the file system. What
    others may change is not taken from there: who may write in /tmp could otherwise have a command of
    somebody else's read, and run, what they put there. Raises OpsError where this folder was removed.
    """
    if given is not None:
        return SpecLocation(given)
    if named := os.environ.get(FILE_VARIABLE, ""):
        path = user_path(named)
        return SpecLocation(
            path, announce=True, why=msg("the path comes from {variable}", variable=FILE_VARIABLE)
        )
    for path in _candidates():
        if path == DEFAULT_SPEC:
            return SpecLocation(path)
        if doubt := _doubt(path):
            return SpecLocation(DEFAULT_SPEC, why=msg("{path} is ignored: {doubt}", path=path, doubt=doubt))
        return SpecLocation(path, announce=True)
    return SpecLocation(DEFAULT_SPEC, why=msg("no parent folder has a spec either"))


def lacking(location: SpecLocation) -> OpsError:
    """The error where the spec that was looked for is not there."""
    if location.path.is_dir():
        return OpsError(
            msg("{path} is a folder, not a spec", path=location.path),
            msg("name the spec inside the folder, e.g. --file {file}", file=location.path / DEFAULT_SPEC),
        )
    if location.path == DEFAULT_SPEC and _OTHER_SPEC.is_file():
        return OpsError(
            msg("there is no spec at {path}", path=location.path),
            msg("rename {other} to techsapo.yaml, or name it with --file", other=_OTHER_SPEC),
        )
    missing = msg("there is no spec at {path}", path=location.path)
    return OpsError(
        msg("{missing}; {why}", missing=missing, why=location.why) if location.why else missing,
        msg("`techsapo init` writes a new spec; to use an existing one, name it with --file"),
    )


def _candidates() -> Iterator[Path]:
    """The specs of this folder and of those above it, the nearest first, that are there."""
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise OpsError(
            msg("the current folder no longer exists"), msg("change to another folder with `cd`")
        ) from None
    parts = here.parts
    within = STATE_DIRECTORY in parts  # beside what is rendered there is a part of a spec, for the app alone
    start = Path(*parts[: parts.index(STATE_DIRECTORY)]) if within else here
    try:
        device = start.stat().st_dev
        for folder in (start, *start.parents):
            if folder.stat().st_dev != device:
                return
            own = folder == here
            if (folder / DEFAULT_SPEC).is_file() or (own and (folder / STATE_DIRECTORY).is_dir()):
                yield DEFAULT_SPEC if own else folder / DEFAULT_SPEC
    except OSError:  # what can't be looked into is not searched further
        return


def _doubt(path: Path) -> str:
    """Why the spec `path`, which nobody named, is not taken; empty where nobody else may change it."""
    from techsapo_ops.adapters.strict_modes import StrictModes
    from techsapo_ops.adapters.trusted_users import trusted_users

    modes = StrictModes(trusted_users())
    modes.judge(path)
    modes.judge(path.parent)  # not as a folder above: where it is sticky, others put what is missing
    return str(modes.faults[0]) if modes.faults else ""


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
