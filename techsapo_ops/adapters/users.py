"""Users of this system: who runs this process and from where, and system users that are added."""

from __future__ import annotations

import os
import pwd
import sys
from contextlib import suppress
from pathlib import Path

from techsapo_ops.adapters.process import RESULT_VARIABLE, Command, Runner
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_NO_LOGIN = 2**32 - 1
"""What the kernel calls the login of a process that nobody logged in for (audit_loginuid)."""
_LONGEST = 200


def actor() -> dict[str, str | int]:
    """Who runs this process now; what is not known is left out.

    `login` is who logged in, as the kernel keeps it through sudo and su; `sudo` who called sudo, by its
    variable; `user` and `uid` whose rights the process has. `ssh` is the client's address and port. `by` is
    what started it: a job, a terminal or a program. `command` is which command of techsapo.
    """
    uid, tty = os.getuid(), _tty()
    known: dict[str, str | int] = {
        "user": _name(uid),
        "uid": uid,
        "login": _login(),
        "sudo": os.environ.get("SUDO_USER", "")[:_LONGEST] if os.geteuid() == 0 else "",
        "ssh": " ".join(os.environ.get("SSH_CONNECTION", "").split()[:2])[:_LONGEST],
        "tty": tty,
        "by": "job" if RESULT_VARIABLE in os.environ else "terminal" if tty else "program",
        "command": " ".join(["techsapo", *sys.argv[1:3]])[:_LONGEST],
    }
    return {name: value for name, value in known.items() if value != ""}


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
        with suppress(OSError):  # a pipe or a file
            return os.ttyname(descriptor)
    return ""


def user_exists(name: str) -> bool:
    """Whether there is a user `name`."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def add_user(name: str, runner: Runner) -> None:
    """Add a system user with a group of its own, without home, password or shell; as root.

    Raises OpsError saying what useradd said.
    """
    options = ("--system", "--user-group", "--no-create-home", "--home-dir=/nonexistent")
    done = runner.run(Command(("useradd", *options, "--shell=/usr/sbin/nologin", name)))
    if done.code != 0:
        raise OpsError(msg("`{command}` failed: {output}", command=done.command, output=done.output))
