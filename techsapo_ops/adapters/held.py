"""What processes of this host hold: ports that they listen on, and files that an update has replaced."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from techsapo_ops.messages import msg

if TYPE_CHECKING:
    import psutil

_GONE = " (deleted)"
_SYSTEM = ("/usr/", "/lib", "/opt/")
"""Where packages put libraries. Elsewhere a file that is gone may have been a temporary one."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that listens on a port; `pid` is None where we may not see whose it is."""

    pid: int | None
    command: str
    user: str | None

    def __str__(self) -> str:
        if self.pid is None:
            return self.command
        if not self.user:
            return msg("{command} (pid {pid})", command=self.command, pid=self.pid)
        return msg("{command} (pid {pid}, user {user})", command=self.command, pid=self.pid, user=self.user)


_UNKNOWN = Holder(None, msg("unknown process"), None)


def port_holder(port: int) -> Holder | None:
    """The process that listens on TCP `port` of any address, or None when nobody does.

    Without root the processes of other users stay unknown; then the holder has no pid.
    """
    return listeners().get(port)


def listeners() -> dict[int, Holder]:
    """Every TCP port of this host that a process listens on, and which; see port_holder."""
    import psutil

    holders: dict[int, Holder] = {}
    for link in psutil.net_connections("tcp"):
        if link.status != psutil.CONN_LISTEN or len(link.laddr) < 2 or link.laddr[1] in holders:
            continue
        holder = _holder(link.pid)
        if holder is not None:
            holders[link.laddr[1]] = holder
    return holders


def _holder(pid: int | None) -> Holder | None:
    import psutil

    if pid is None:
        return _UNKNOWN
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            return Holder(pid, _command(process), process.username())
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return Holder(pid, msg("a process of another user"), None)


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
    error = bind_error(host, port)
    if error is not None and error.errno not in {
        errno.EADDRINUSE,
        errno.EACCES,
        errno.EADDRNOTAVAIL,
        errno.EPERM,
    }:
        raise error
    return error is None


def bind_error(host: str, port: int) -> OSError | None:
    """Why this process can't listen on `host`:`port` now; None where it can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as attempt:
        # As servers do: without it, connections in TIME_WAIT make a free port look taken.
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((host, port))
            attempt.listen(1)
        except OSError as error:
            return error
    return None


def belongs_to(pid: int, folder: Path) -> bool:
    """Whether process `pid`, or one that it descends from, was started for `folder`.

    That is: it works inside the folder or names it on its command line, as a stack's supervisor and its
    services do with their state directory. What may not be looked at counts as foreign.
    """
    import psutil

    wanted = str(folder)
    try:
        process = psutil.Process(pid)
        family = [process, *process.parents()]
    except psutil.NoSuchProcess:
        return False
    return any(_works_in(member, wanted) for member in family if member.pid > 1)


def _works_in(process: psutil.Process, folder: str) -> bool:
    import psutil

    inside = f"{folder}/"
    try:
        if any(word == folder or inside in word for word in process.cmdline()):
            return True
        place = process.cwd()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    return place == folder or place.startswith(inside)


def replaced_files(pid: int, proc: Path = Path("/proc")) -> tuple[str, ...]:
    """Paths of the program and of the shared libraries that process `pid` runs and the disk no longer has.

    A package's new file takes the name of the old one, which the kernel then calls deleted; a library with
    its version in its name only goes. None where the process has ended or belongs to somebody else.
    """
    folder = proc / str(pid)
    try:
        program = str((folder / "exe").readlink())
        maps = (folder / "maps").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:  # it has ended, or is another user's: nothing is known of it
        return ()
    replaced = {program: None} if program.endswith(_GONE) else {}
    for line in maps.splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and "x" in fields[1] and fields[5].endswith(_GONE):
            replaced[fields[5]] = None
    paths = [text.removesuffix(_GONE) for text in replaced]
    return tuple(path for path in paths if _is_package_file(path))


def works_in_removed(pid: int, proc: Path = Path("/proc")) -> bool:
    """Whether the folder that process `pid` works in was removed; False where that is not known."""
    try:
        return str((proc / str(pid) / "cwd").readlink()).endswith(_GONE)
    except OSError:
        return False


def _is_package_file(path: str) -> bool:
    """Whether `path` is one that an update replaces: no shared memory, no file that was only temporary."""
    if not path.startswith("/") or path.startswith(("/dev/", "/memfd:", "/SYSV")):
        return False
    return path.startswith(_SYSTEM) or Path(path).exists()
