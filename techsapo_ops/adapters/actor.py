"""Who runs this process, and from where: for a record of what was done, not for a decision about it."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.supervised import RESULT_VARIABLE

_NO_LOGIN = 2**32 - 1
"""What the kernel calls the login of a process that nobody logged in for (audit_loginuid)."""
_MOST_ANCESTORS = 20
_CRON = frozenset({"cron", "crond"})
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is at work. What is not known is empty, or None.

    `login` is who logged in, as the kernel keeps it through sudo and su; `sudo` who called sudo, by its
    variable; `user` and `uid` whose rights the process has. `ssh` is the client's address and port. `by` is
    what started it: a job, cron, systemd, a terminal or a program. `command` is which command of techsapo.
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
        return {name: value for name, value in asdict(self).items() if value not in ("", None)}


def actor() -> Actor:
    """Who runs this process now."""
    uid = os.getuid()
    variables = _variables()
    tty = _tty()
    return Actor(
        user=_name(uid),
        uid=uid,
        login=_login(),
        sudo=os.environ.get("SUDO_USER", "")[:_LONGEST] if os.geteuid() == 0 else "",
        ssh=" ".join(variables.get("SSH_CONNECTION", "").split()[:2])[:_LONGEST],
        tty=tty,
        by=_starter(tty),
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


def _variables() -> dict[str, str]:
    """The variables of this process; sudo removes SSH_CONNECTION, and root finds it in those before."""
    if "SSH_CONNECTION" in os.environ:
        return dict(os.environ)
    for pid in _ancestors():
        try:
            data = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:  # another user's, which only root reads, or gone
            continue
        for entry in data.split(b"\0"):
            name, _, value = entry.partition(b"=")
            if name == b"SSH_CONNECTION":
                return {"SSH_CONNECTION": value.decode("utf-8", "replace")}
    return {}


def _starter(tty: str) -> str:
    if RESULT_VARIABLE in os.environ:
        return "job"
    for pid in _ancestors():
        try:
            name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:  # it has ended
            break
        if name in _CRON:
            return "cron"
    if "INVOCATION_ID" in os.environ and not tty:
        return "systemd"
    return "terminal" if tty else "program"


def _ancestors() -> Iterator[int]:
    """The processes that this one comes from, the nearest first, without init."""
    pid = os.getppid()
    for _ in range(_MOST_ANCESTORS):
        if pid <= 1:
            return
        yield pid
        try:
            # The name, in brackets, may hold anything; the parent is the second value behind it.
            fields = (
                Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
            )
            pid = int(fields.split()[1])
        except (OSError, ValueError, IndexError):
            return
