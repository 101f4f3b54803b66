"""As whom a command is to be run that this user was refused."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import stat
import sys
from pathlib import Path

from techsapo_ops.adapters.folders import STATE_DIRECTORY
from techsapo_ops.cli.root_path import ROOT_PATH
from techsapo_ops.messages import msg

_REFUSED = {errno.EACCES, errno.EPERM}
_LONGEST = 120


def as_whom(error: BaseException) -> str:
    """What to try where `error` came of a file that this user may not use; empty where it did not.

    A stack is its owner's: who ran `up` in it, so whose its state directory is. Of other files it is the
    owner. Root is refused for other reasons than whose something is, and is told nothing.
    """
    refused = _refusal(error)
    if refused is None or os.geteuid() == 0 or not isinstance(refused.filename, str):
        return ""
    path = Path(refused.filename).absolute()
    owner = next((uid for uid in _owners(path) if uid != os.geteuid()), None)
    if owner is None:
        return msg("it is your own: see its mode, `{command}`", command=shlex.join(["ls", "-ld", str(path)]))
    if owner == 0:
        return msg("run it as root: `{command}`", command=_command("sudo"))
    from techsapo_ops.adapters.strict_modes import user_name

    name = user_name(owner, short=True)
    account = f"#{owner}" if name.startswith("uid ") else name
    return msg("run it as {name}: `{command}`", name=name, command=_command("sudo", "-u", account))


def _refusal(error: BaseException | None) -> PermissionError | None:
    """The refusal that `error` is, or that it was raised for."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, PermissionError) and error.errno in _REFUSED:
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _owners(path: Path) -> list[int]:
    """Who may use `path`, the likeliest first, as far as this user may see it."""
    parts = path.parts
    state = Path(*parts[: parts.index(STATE_DIRECTORY) + 1]) if STATE_DIRECTORY in parts else None
    found = []
    for place in (*([state] if state is not None else []), path, *path.parents):
        try:
            facts = place.stat()
        except OSError:  # nothing there, or in a folder that is closed: whose that is comes next
            continue
        found.append(facts.st_uid)
        if place != state and stat.S_ISDIR(facts.st_mode):
            break
    return found


def _command(*prefix: str) -> str:
    words = sys.argv[1:]
    program = ["techsapo"]
    if shutil.which("techsapo", path=ROOT_PATH) is None and (file := Path(sys.argv[0])).is_file():
        # `python -m techsapo_ops` names a file that nobody can run.
        module = file.name == "__main__.py"
        program = [sys.executable, "-m", file.parent.name] if module else [str(file.absolute())]
    command = shlex.join([*prefix, *program, *words])
    return command if len(command) <= _LONGEST else f"{shlex.join([*prefix, *program, *words[:2]])} …"
