"""What this host has: room on its file systems, and how much of its memory and CPU is used."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.messages import msg

NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "9p", "sshfs", "fuse.sshfs", "glusterfs", "fuse.glusterfs"}
)
"""File systems of another machine: locks, sockets and databases are unreliable or slow there."""
_UNLIMITED = float(1 << 60)
"""A version 1 limit from here on is none: the kernel writes the largest number of pages."""


@dataclass(frozen=True, slots=True)
class Room:
    """Free space for users other than root: bytes, and shares of space and inodes from 0 to 1."""

    directory: Path
    """The folder itself, or the nearest one above it that exists."""
    free_bytes: int
    total_bytes: int
    free: float
    free_inodes: float
    read_only: bool


def room(directory: Path) -> Room:
    """Room on the file system of `directory`, which need not exist yet. Raises OSError as statvfs does."""
    directory = existing(directory)
    facts = os.statvfs(directory)
    return Room(
        directory,
        facts.f_bavail * facts.f_frsize,
        facts.f_blocks * facts.f_frsize,
        facts.f_bavail / facts.f_blocks if facts.f_blocks else 1.0,
        facts.f_favail / facts.f_files if facts.f_files else 1.0,
        bool(facts.f_flag & os.ST_RDONLY),
    )


def existing(path: Path) -> Path:
    """`path`, or the nearest folder above it that exists."""
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def file_system(directory: Path) -> str:
    """Type of the file system that `directory` is on, such as ext4; "" where the kernel does not tell."""
    import psutil

    target = existing(directory).resolve()
    best = ("", "")
    for partition in psutil.disk_partitions(all=True):
        mount = Path(partition.mountpoint)
        # Later mounts cover earlier ones on the same folder, hence >=.
        if (mount == target or mount in target.parents) and len(partition.mountpoint) >= len(best[0]):
            best = (partition.mountpoint, partition.fstype)
    return best[1]


def human(count: float) -> str:
    """A number of bytes for a person, in powers of 1024."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return msg("{count:.1f} TB", count=count)


_V2 = Path("/sys/fs/cgroup")
_V1_MEMORY = _V2 / "memory"


@dataclass(frozen=True, slots=True)
class UsageSample:
    """Seconds of CPU used up to `at` (monotonic seconds)."""

    used: float
    at: float


class HostUsage:
    """Percentages since the last call; of the cgroup's limits where it has any, else of the host.

    `cgroup` is the cgroup v2 folder to read, `memory_v1` the folder of version 1's memory controller; None
    finds this process's own.
    """

    def __init__(self, cgroup: Path | None = None, memory_v1: Path | None = None) -> None:
        import psutil

        self._psutil = psutil
        self._cgroup = cgroup or _own_cgroup()
        self._memory_v1 = memory_v1 or _own_memory_v1()
        self._last: UsageSample | None = None
        psutil.cpu_percent()

    def memory_percent(self) -> float:
        """Memory in use, in percent (0 to 100)."""
        limit = _number(self._cgroup / "memory.max")
        used = _number(self._cgroup / "memory.current")
        if limit and used is not None:
            return min(100.0, 100 * max(0.0, used - self._reclaimable()) / limit)
        return self._memory_v1_percent() or float(self._psutil.virtual_memory().percent)

    def memory_limit(self) -> float | None:
        """Bytes that `memory_percent` is a share of where the cgroup has a limit; None where it is of the
        host's memory.
        """
        return _number(self._cgroup / "memory.max") or self._memory_v1_limit()

    def _memory_v1_limit(self) -> float | None:
        limit = _number(self._memory_v1 / "memory.limit_in_bytes")
        return None if not limit or limit >= _UNLIMITED else limit

    def _memory_v1_percent(self) -> float | None:
        limit = self._memory_v1_limit()
        used = _number(self._memory_v1 / "memory.usage_in_bytes")
        if limit is None or used is None:
            return None
        cache = _stat(self._memory_v1 / "memory.stat", "total_inactive_file") or 0.0
        return min(100.0, 100 * max(0.0, used - cache) / limit)

    def cpu_percent(self) -> float | None:
        """CPU in use since the last call, in percent (0 to 100); None at the first call in a cgroup."""
        cores = self._quota_cores()
        if cores is None:
            return float(self._psutil.cpu_percent())
        used = self._cgroup_cpu_seconds()
        if used is None:
            return None
        sample, last = UsageSample(used, time.monotonic()), self._last
        self._last = sample
        if last is None or sample.at <= last.at:
            return None
        return max(0.0, min(100.0, 100 * (sample.used - last.used) / (sample.at - last.at) / cores))

    def _reclaimable(self) -> float:
        """Bytes of page cache that the kernel gives back under pressure; not "in use"."""
        return _stat(self._cgroup / "memory.stat", "inactive_file") or 0.0

    def _quota_cores(self) -> float | None:
        try:
            quota, period = (self._cgroup / "cpu.max").read_text(encoding="ascii").split()
            return None if quota == "max" else int(quota) / int(period)
        except (OSError, ValueError):
            return None

    def _cgroup_cpu_seconds(self) -> float | None:
        micros = _stat(self._cgroup / "cpu.stat", "usage_usec")
        return None if micros is None else micros / 1e6


def _own_cgroup() -> Path:
    try:
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            if line.startswith("0::"):
                return Path(os.path.normpath(f"{_V2}/{line[3:].lstrip('/')}"))
    except OSError:
        return _V2
    return _V2


def _own_memory_v1() -> Path:
    try:
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if "memory" in controllers.split(","):
                own = Path(os.path.normpath(f"{_V1_MEMORY}/{path.lstrip('/')}"))
                return own if own.is_dir() else _V1_MEMORY  # a container sees its own group as the root
    except OSError:
        return _V1_MEMORY
    return _V1_MEMORY


def _number(path: Path) -> float | None:
    """The number in a file; None where there is none or it says max."""
    try:
        return float(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _stat(path: Path, key: str) -> float | None:
    try:
        for line in path.read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(" ")
            if name == key:
                return float(value)
    except (OSError, ValueError):
        return None
    return None
