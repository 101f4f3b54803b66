"""Who runs this process, and from where: for a record of what was done, not for a decision about it."""

from __future__ import annotations

import os
import pwd
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.supervised import RESULT_VARIABLE

_NO_LOGIN = 2**32 - 1
"""What the kernel calls the login of a process that nobody logged in for (audit_loginuid)."""
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is at work. What is not known is empty.

    `login` is who logged in, as the kernel keeps it through sudo and su; `sudo` who called sudo, by its
    variable; `user` and `uid` whose rights the process has. `ssh` is the client's address and port. `by` is
    what started it: a job, a terminal or a program. `command` is which command of techsapo.
    """

    user: str
    uid: int
    login: str
    sudo: str
    ssh: str
    tty: str
    by: str
    command: str

    def to_json(self) -> dict[str, Any]:
        """What is known, as plain values."""
        return {name: value for name, value in asdict(self).items() if value != ""}


def actor() -> Actor:
    """Who runs this process now."""
    uid = os.getuid()
    tty = _tty()
    return Actor(
        user=_name(uid),
        uid=uid,
        login=_login(),
        sudo=os.environ.get("SUDO_USER", "")[:_LONGEST] if os.geteuid() == 0 else "",
        ssh=" ".join(os.environ.get("SSH_CONNECTION", "").split()[:2])[:_LONGEST],
        tty=tty,
        by="job" if RESULT_VARIABLE in os.environ else "terminal" if tty else "program",
        command=" ".join(["techsapo", *sys.argv[1:3]])[:_LONGEST],
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # as in many containers
        return ""


def _login() -> str:
    try:
        uid = int(Path("/proc/self/loginuid").read_text(encoding="ascii"))
    except (OSError, ValueError):  # a kernel without audit
        return ""
    return "" if uid == _NO_LOGIN else _name(uid) or f"uid {uid}"


def _tty() -> str:
    for descriptor in (0, 1, 2):
        try:
            return os.ttyname(descriptor)
        except OSError:  # a pipe or a file
            continue
    return ""
