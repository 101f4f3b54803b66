"""Rotates the logs of a native stack: size, number and compression as in the spec's `logs`.

A program of supervisord like any other: `python -I housekeeping.py LOGS MAX_BYTES KEEP COMPRESS`. Standard
library only; supervisord can rotate by itself but does not compress, and logrotate is not on every host.
"""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

INTERVAL = 10.0
_REOPEN_SECONDS = 5.0


def rotate(log: Path, *, keep: int, compress: bool, reopen: Callable[[], None]) -> None:
    """Move `log` to NAME.log.1 and older ones up by one; the oldest beyond `keep` goes.

    A rename, then `reopen` tells the writer to open the log anew: no line is lost, unlike with copying.
    Killed at any point, each file has a name that the next call understands.
    """
    _numbered(log, keep).unlink(missing_ok=True)
    _numbered(log, keep, ".gz").unlink(missing_ok=True)
    for number in range(keep - 1, 0, -1):
        for suffix in ("", ".gz"):
            old = _numbered(log, number, suffix)
            if old.exists():
                old.replace(_numbered(log, number + 1, suffix))
    first = _numbered(log, 1)
    log.rename(first)
    reopen()
    if not compress:
        return
    deadline = time.monotonic() + _REOPEN_SECONDS
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    if log.exists():  # else the writer still writes to the renamed file: it is compressed the next time
        compress_file(first)


def compress_file(path: Path) -> None:
    """Replace `path` by `path`.gz, which gets its name when it is whole."""
    partial = path.with_name(f".{path.name}.gz.partial")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    made = os.open(partial, flags, 0o644)
    with path.open("rb") as source, os.fdopen(made, "wb") as raw, gzip.open(raw, "wb", 6) as target:
        shutil.copyfileobj(source, target)
    partial.replace(path.with_name(f"{path.name}.gz"))
    path.unlink()


def _numbered(log: Path, number: int, suffix: str = "") -> Path:
    return log.with_name(f"{log.name}.{number}{suffix}")


def sweep(logs: Path, *, max_bytes: int, keep: int, compress: bool, reopen: Callable[[], None]) -> list[Path]:
    """Rotate each log in `logs` that is larger than `max_bytes`; returns those rotated."""
    rotated = []
    for log in sorted(logs.glob("*.log")):
        if not log.is_symlink() and log.stat().st_size > max_bytes:
            rotate(log, keep=keep, compress=compress, reopen=reopen)
            rotated.append(log)
    return rotated


def main(arguments: list[str]) -> None:
    """Sweep every ten seconds for as long as the supervisor lives; a full disk is told and tried again."""
    logs, max_bytes, keep, compress = arguments
    # supervisord opens its own and all its programs' logs anew on this signal.
    parent = os.getppid()
    while os.getppid() == parent:
        try:
            sweep(
                Path(logs),
                max_bytes=int(max_bytes),
                keep=int(keep),
                compress=compress == "yes",
                reopen=lambda: os.kill(parent, signal.SIGUSR2),
            )
        except OSError as error:
            print(f"cannot rotate logs: {error}", flush=True)  # noqa: T201 - into its own log
        time.sleep(INTERVAL)


if __name__ == "__main__":
    main(sys.argv[1:])
