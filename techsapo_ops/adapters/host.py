"""What this host offers: executables on PATH, and which system users can work here."""

from __future__ import annotations

import os
import pwd
import stat
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from techsapo_ops.adapters.host_facts import HostFacts
from techsapo_ops.adapters.process import require_programs
from techsapo_ops.adapters.resources import existing

TOOLS = (
    "logrotate",
    "rsyslogd",
    "docker",
    "systemctl",
    "systemd-analyze",
    "setpriv",
    "apt-get",
    "crontab",
    "node",
    "npm",
    "zstd",
    "restic",
)
"""Executables that no one kind of service needs."""

# A login shell of a Debian user lacks the sbin folders, yet nginx and the exporters' helpers live there.
_SIBLINGS = {"/usr/local/bin": "/usr/local/sbin", "/usr/bin": "/usr/sbin", "/bin": "/sbin"}


def gather(
    state: Path,
    path_env: str,
    programs: Iterable[str] = (),
    service_users: Iterable[str] = (),
) -> HostFacts:
    """Facts about this host for a stack with the state directory `state`.

    `programs` are the executables and `service_users` the users that its services may have. `path_env` is
    the PATH to search; the sbin sibling of a system folder on it is searched too, so that an
    empty PATH finds nothing. Users are judged by the modes of files and folders; ACLs are not read. Takes a
    few milliseconds and starts no process.
    Raises UntrustedError where others could change one of the executables.
    """
    root = os.geteuid() == 0
    binaries = find_binaries((*programs, *TOOLS), path_env)
    require_programs(map(Path, binaries.values()))
    systemd = systemd_tells()
    if not root:
        return HostFacts(
            python=sys.executable,
            root=False,
            binaries=binaries,
            systemd=systemd,
            shares_mounts=shares_mounts(),
        )
    users = [user for name in dict.fromkeys(service_users) if (user := _User.named(name)) is not None]
    able = [user for user in users if user.reaches(existing(state))]
    runnable = _python_paths()
    return HostFacts(
        python=sys.executable,
        root=True,
        binaries=binaries,
        users=frozenset(user.name for user in able),
        app_users=frozenset(user.name for user in able if all(user.reads(path) for path in runnable)),
        systemd=systemd,
        shares_mounts=shares_mounts(),
    )


def systemd_tells(root: Path = Path("/")) -> bool:
    """Whether systemd runs the system below `root`, as sd_booted(3) asks, and has a D-Bus to be asked on."""
    return (root / "run/systemd/system").is_dir() and (root / "run/dbus/system_bus_socket").exists()


def shares_mounts(root: Path = Path("/")) -> bool:
    """Whether the root of the host, whose /proc is below `root`, is a mount that others may follow.

    See mount_namespaces(7). That of init is asked.
    """
    try:
        lines = (root / "proc/1/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # hidden from this user
        return False
    words = [line.partition(" - ")[0].split() for line in lines]
    return any(w[4] == "/" and any(f.startswith(("shared:", "master:")) for f in w[6:]) for w in words)


def find_binaries(names: Iterable[str], path_env: str) -> dict[str, str]:
    """Absolute path by name of those `names` that are executable on `path_env`.

    Relative entries of PATH are passed over: what they hold depends on where the tool was started.
    """
    listed = [entry.rstrip("/") or "/" for entry in path_env.split(os.pathsep) if entry.startswith("/")]
    folders = list(dict.fromkeys([*listed, *(_SIBLINGS[entry] for entry in listed if entry in _SIBLINGS)]))
    return {name: path for name in names if (path := _which(name, folders)) is not None}


def _which(name: str, folders: list[str]) -> str | None:
    for folder in folders:
        path = f"{folder}/{name}"
        if os.access(path, os.X_OK) and Path(path).is_file():
            return path
    return None


def _python_paths() -> tuple[Path, ...]:
    """Files that a process of this Python and package must be able to read, one of each place."""
    paths = [Path(sys.executable), Path(os.__file__), Path(__file__), Path(yaml.__file__)]
    config = Path(sys.prefix) / "pyvenv.cfg"
    return (*paths, config) if config.exists() else tuple(paths)


@dataclass(frozen=True, slots=True)
class _User:
    name: str
    uid: int
    groups: frozenset[int]

    @classmethod
    def named(cls, name: str) -> _User | None:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            return None
        return cls(name, entry.pw_uid, frozenset(os.getgrouplist(name, entry.pw_gid)))

    def may(self, path: Path, wanted: int) -> bool:
        """Whether the mode of `path` grants `wanted` (4 read, 1 execute or enter) to this user."""
        facts = path.stat()
        if facts.st_uid == self.uid:
            granted = facts.st_mode >> 6
        elif facts.st_gid in self.groups:
            granted = facts.st_mode >> 3
        else:
            granted = facts.st_mode
        return granted & wanted == wanted

    def reaches(self, folder: Path) -> bool:
        """Whether this user can enter `folder`: every folder on the way, and on the way of every symlink."""
        return all(self.may(part, 1) for part in _folders_on_the_way(folder))

    def reads(self, path: Path) -> bool:
        """Whether this user can read the file `path`, and run it where it is executable."""
        if not self.reaches(path.parent) or not self.reaches(path.resolve().parent):
            return False
        executable = stat.S_IMODE(path.stat().st_mode) & 0o111
        return self.may(path, 5 if executable else 4)


def _folders_on_the_way(folder: Path) -> Iterable[Path]:
    resolved = folder.resolve()
    # A link's own way counts as well as its target's; most paths have no link and are walked once.
    ways = [folder] if resolved == folder else [folder, resolved]
    return dict.fromkeys(part for way in ways for part in (way, *way.parents))
