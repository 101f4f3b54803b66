"""Whose files the user who runs this relies on.

That is root, and this user. For root it is also, as git has it, the user that `SUDO_UID` names
(safe.directory in git-config(1)), and those whom root has written into `trusted-users`. A spec and its owner
name nobody.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

from techsapo_ops.adapters.strict_modes import TRUSTED_USERS, StrictModes
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_NO_UID = 2**32 - 1


def trusted_users(environment: Mapping[str, str] | None = None) -> frozenset[int]:
    """The uids of those users; `environment` is by default this process's own.

    `SUDO_UID` counts as git counts it: where the process is root's own and the value is a user's number.
    Raises OpsError where `trusted-users` can't be read, UntrustedError where others may write it.
    """
    if os.geteuid() != 0:
        return frozenset({0, os.geteuid()})
    recorded = {uid for name in _recorded_users() if (uid := _uid_of(name)) is not None}
    sudo = (os.environ if environment is None else environment).get("SUDO_UID", "")
    if os.getuid() == 0 and (uid := _number(sudo)) is not None:
        recorded.add(uid)
    return frozenset({0, *recorded})


def _uid_of(user: str) -> int | None:
    """The uid of a user's name, or of a number; None where there is no such user."""
    try:
        return pwd.getpwnam(user).pw_uid
    except (KeyError, ValueError):  # ValueError: a zero byte, as a power cut leaves them
        return _number(user)


def _recorded_users() -> tuple[str, ...]:
    """The users of `trusted-users`.

    Raises OpsError where it can't be read, UntrustedError where others than root may write it.
    """
    modes = StrictModes(frozenset({0}))
    modes.judge(TRUSTED_USERS)
    modes.require()
    try:
        text = TRUSTED_USERS.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise OpsError(
            msg("cannot read {trusted_users}: {error}", trusted_users=TRUSTED_USERS, error=error),
            msg("check that file, or remove it"),
        ) from None
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return tuple(line for line in lines if line)


def owned_by_others(folder: Path) -> bool:
    """Whether this is root, and `folder` is there and of a user whom root does not trust."""
    return os.geteuid() == 0 and folder.exists() and folder.stat().st_uid not in trusted_users()


def _number(text: str) -> int | None:
    """The uid that `text` writes in digits; None for anything else, and for what is no user's."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10) or int(text) >= _NO_UID:
        return None
    return int(text)
