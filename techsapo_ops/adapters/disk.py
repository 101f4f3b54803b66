"""On what file system a folder is, and how much room it has."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.messages import msg

NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "9p", "sshfs", "fuse.sshfs", "glusterfs", "fuse.glusterfs"}
)
"""File systems of another machine: locks, sockets and databases are unreliable or slow there."""


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
