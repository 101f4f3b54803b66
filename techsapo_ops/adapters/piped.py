"""Two programs, of which one reads what the other one writes."""

from __future__ import annotations

import os
import subprocess
import tempfile
from typing import IO

from techsapo_ops.adapters.process import Command, Completed, TimedOut, Watch, communicate, end, not_started

_END_SECONDS = 30.0


def piped(source: Command, target: Command, *, timeout: float, watch: Watch) -> tuple[Completed, Completed]:
    """Let `target` read what `source` writes, of which nothing lies on this disk; how each of them ended.

    `timeout` is in seconds. Both are ended at that, at Ctrl-C, and where `watch` raises. Raises OpsError for
    that, and where a program does not exist or takes too long.
    """
    # A file, and no pipe: nobody reads what `source` says while `target` takes what it sends.
    with tempfile.TemporaryFile() as told:
        sending = _started(source, stdout=subprocess.PIPE, stderr=told)
        assert sending.stdout is not None  # noqa: S101 - asked for
        try:
            taking = _started(target, stdin=sending.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            sending.stdout.close()  # the other one has it; open here nobody would be told that it ended
            sending.stdout = None
            try:
                out, err = communicate(taking, None, timeout, watch)
            except BaseException:
                end(taking)
                raise
            sending.wait(_END_SECONDS)
        except BaseException as error:
            end(sending)
            if isinstance(error, subprocess.TimeoutExpired):
                raise TimedOut(target, timeout) from None
            raise
        told.seek(0)
        return (
            Completed(source, sending.returncode, b"", told.read()),
            Completed(target, taking.returncode, out, err),
        )


def _started(
    command: Command, *, stdout: int, stderr: int | IO[bytes], stdin: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            command.argv,
            stdin=stdin if stdin is not None else subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, **command.env},
            start_new_session=True,
        )
    except OSError as error:
        raise not_started(command, error) from None
