"""The log of one run: what it printed, each line with its time, up to a limit."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

from techsapo_ops.adapters.folders import open_file
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

LIMIT = 10 * 1024 * 1024
"""Bytes of one run's log; what comes after is counted and left out."""
TAIL = 20


@dataclass(slots=True)
class RunLog:
    """Takes lines for the file `path`; the last ones stay in `tail`.

    A full disk must not end a job: what can't be written goes to `say` instead, with the reason first.
    """

    path: Path
    now: Callable[[], datetime]
    say: Callable[[str], None]
    echo: Callable[[str], None]
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL))
    _file: IO[bytes] | None = None
    _written: int = 0
    _left_out: int = 0
    _broken: bool = False

    def line(self, text: str) -> None:
        """Add one line."""
        self.tail.append(text)
        self.echo(text)
        data = f"{self.now():%Y-%m-%d %H:%M:%S} {text}\n".encode(errors="replace")
        if self._broken:
            self.say(text)
            return
        if self._written + len(data) > LIMIT:
            self._left_out += 1
            return
        try:
            if self._file is None:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
                self._file = os.fdopen(open_file(self.path, flags), "ab", buffering=0)
            self._file.write(data)
            self._written += len(data)
        except (OSError, OpsError) as error:
            self._broken = True
            why = error.message if isinstance(error, OpsError) else error.strerror
            self.say(msg("cannot write the log {path}: {why}", path=self.path, why=why))
            self.say(text)

    def close(self) -> None:
        """Say what was left out, and close the file."""
        if self._left_out:
            left_out, self._left_out, self._written = self._left_out, 0, 0
            self.line(
                msg(
                    "{left_out} more lines were left out: a run's log ends at {limit} MiB",
                    left_out=left_out,
                    limit=LIMIT // 1024**2,
                )
            )
        if self._file is not None:
            self._file.close()
            self._file = None
