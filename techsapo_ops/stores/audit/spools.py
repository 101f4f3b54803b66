"""Whose spool file is whose, where an instance's next process starts before the last one ends."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

NAME = "audit-spool.jsonl"
_MOST = 9
"""Processes of one instance that may each have a file."""


class Spools:
    """The spool files in an instance's folder, of which this process has one that no other one writes.

    A lock beside a file says that its process lives; the kernel lets it go with the process. Raises OSError.
    """

    def __init__(self, directory: Path) -> None:
        self._files = [directory / NAME, *(directory / f"audit-spool-{n}.jsonl" for n in range(2, _MOST + 1))]
        self._locks: dict[Path, int] = {}
        for file in self._files:
            if self._claim(file):
                self.own = file
                return
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(directory / NAME))

    def left(self) -> Iterator[Path]:
        """Files of processes that ended and left rows, each nobody else's until the next is asked for."""
        for file in self._files:
            if file in self._locks or not file.exists() or not self._claim(file):
                continue
            try:
                if file.exists():  # another one may have had it a moment ago
                    yield file
            finally:
                self._release(file)

    def close(self) -> None:
        """Let go of all."""
        for file in list(self._locks):
            self._release(file)

    def _claim(self, file: Path) -> bool:
        lock = os.open(
            file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        except OSError:
            os.close(lock)
            raise
        self._locks[file] = lock
        return True

    def _release(self, file: Path) -> None:
        with suppress(OSError):
            os.close(self._locks.pop(file))
