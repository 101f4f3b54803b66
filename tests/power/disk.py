"""A disk with a volatile cache, as a file in a FUSE file system: a power cut loses what is not flushed.

Run by Debian's Python, which has fusepy: `disk.py IMAGE MOUNTPOINT`. The file `disk` there is as large as
IMAGE, which has only what was flushed: a write waits in the cache until the next flush. SIGUSR1 is the power
cut. From then on every write is refused, and of the blocks in the cache a random part reaches IMAGE, none in
half of the cuts: a disk writes its cache in an order of its own. What it did is in IMAGE.cut, as JSON.
"""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import stat
import sys
from pathlib import Path
from typing import Any

from fusepy import FUSE, FuseOSError, Operations  # type: ignore[import-not-found]

BLOCK = 4096
CACHE = 65536
"""Blocks that the cache holds, 256 MB; a full one is written, as a disk does."""


class Disk(Operations):  # type: ignore[misc]
    """The file system: a folder with one file."""

    def __init__(self, image: Path) -> None:
        self.image = image
        self.file = os.open(image, os.O_RDWR)
        self.size = os.fstat(self.file).st_size
        self.cache: dict[int, bytes] = {}
        self.off = False

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        """The folder, or the file."""
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o700, "st_nlink": 2}
        if path != "/disk":
            raise FuseOSError(errno.ENOENT)
        return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": self.size}

    def readdir(self, path: str, fh: int) -> list[str]:
        """The one file."""
        return [".", "..", "disk"]

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        """What was written last, flushed or not."""
        data = bytearray(os.pread(self.file, size, offset))
        for number in range(offset // BLOCK, -(-(offset + size) // BLOCK)):
            if (block := self.cache.get(number)) is not None:
                at = number * BLOCK - offset
                here = block[max(0, -at) : size - at]
                data[max(0, at) : max(0, at) + len(here)] = here
        return bytes(data)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        """Into the cache."""
        if self.off:
            raise FuseOSError(errno.EIO)
        at = offset
        while at < offset + len(data):
            number, within = divmod(at, BLOCK)
            part = data[at - offset : at - offset + BLOCK - within]
            if len(part) < BLOCK:
                block = self.read(path, BLOCK, number * BLOCK, fh)
                part = block[:within] + part + block[within + len(part) :]
            self.cache[number] = part
            at += BLOCK - within
        if len(self.cache) > CACHE:
            self.flushed()
        return len(data)

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        """The disk's flush: all that was written before is in the image."""
        if self.off:
            raise FuseOSError(errno.EIO)
        self.flushed()
        return 0

    def flushed(self) -> None:
        """Write the cache."""
        for number, block in self.cache.items():
            os.pwrite(self.file, block, number * BLOCK)
        self.cache.clear()

    def cut(self, *_: object) -> None:
        """The power is gone."""
        self.off = True
        share = random.choice([0.0, 0.0, random.random(), random.random()])
        waiting = len(self.cache)
        self.cache = {number: block for number, block in self.cache.items() if random.random() < share}
        written = len(self.cache)
        self.flushed()
        self.image.with_name(f"{self.image.name}.cut").write_text(
            json.dumps({"blocks in the cache": waiting, "of them written": written})
        )


def main() -> None:
    """Serve until it is unmounted."""
    image, mountpoint = sys.argv[1:]
    disk = Disk(Path(image))
    signal.signal(signal.SIGUSR1, disk.cut)  # Python runs it as the next operation begins, before that one
    FUSE(disk, mountpoint, foreground=True, nothreads=True, direct_io=True, big_writes=True, max_read=131072)
    disk.flushed()


if __name__ == "__main__":
    main()
