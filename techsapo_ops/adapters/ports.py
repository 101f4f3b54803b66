"""Who listens on which port of this host."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psutil


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that listens on a port; `pid` is None where we may not see whose it is."""

    pid: int | None
    command: str
    user: str | None

    def __str__(self) -> str:
        if self.pid is None:
            return self.command
        owner = f", user {self.user}" if self.user else ""
        return f"{self.command} (pid {self.pid}{owner})"


_UNKNOWN = Holder(None, "unknown process", None)


def port_holder(port: int) -> Holder | None:
    """The process that listens on TCP `port` of any address, or None when nobody does.

    Without root the processes of other users stay unknown; then the holder has no pid.
    """
    import psutil

    for link in psutil.net_connections("tcp"):
        if link.status != psutil.CONN_LISTEN or tuple(link.laddr)[1:] != (port,):
            continue
        if link.pid is None:
            return _UNKNOWN
        try:
            process = psutil.Process(link.pid)
            with process.oneshot():
                return Holder(link.pid, _command(process), process.username())
        except psutil.NoSuchProcess:
            continue
        except psutil.AccessDenied:
            return Holder(link.pid, "a process of another user", None)
    return None


def _command(process: psutil.Process) -> str:
    line = process.cmdline()
    name = process.name()
    # Interpreters all look alike: the script or module says what runs.
    if name.startswith("python") and len(line) > 1:
        return " ".join([name, *(line[1:2] if line[1] == "-c" else line[1:3])])
    return name


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen on `host`:`port` now.

    An address that this host does not have, or a port that needs root, counts as not free.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as attempt:
        # As servers do: without it, connections in TIME_WAIT make a free port look taken.
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((host, port))
            attempt.listen(1)
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL, errno.EPERM}:
                return False
            raise
    return True
