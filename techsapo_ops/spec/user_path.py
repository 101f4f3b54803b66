"""Paths as people write them: `~` in front is a home folder, relative ones begin in a folder."""

from __future__ import annotations

from pathlib import Path

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg


def user_path(named: str | Path, folder: Path = Path()) -> Path:
    """Where `named` is; a relative path begins in `folder`.

    Raises OpsError where it begins with the home folder of nobody on this host.
    """
    path = Path(named)
    try:
        return folder / path.expanduser()
    except (RuntimeError, ValueError):  # ValueError: no name of a user can be written so
        user = path.parts[0].removeprefix("~")
    hint = msg("write the full path, starting with /")
    if not user:
        raise OpsError(msg("the home folder of the user who runs this command is not known"), hint)
    raise OpsError(msg("there is no user {user} on this host", user=repr(user)), hint)
