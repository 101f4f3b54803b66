"""One program, and those that read what it writes."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import IO

from techsapo_ops.adapters.process import (
    Command,
    Completed,
    TimedOut,
    Watch,
    communicate,
    end,
    start,
)

_END_SECONDS = 30.0


def piped(
    source: Command, targets: Sequence[Command], *, timeout: float, watch: Watch
) -> tuple[Completed, tuple[Completed, ...]]:
    """Let each of `targets` read all that `source` writes, and nothing lie on this disk; how each ended.

    Where one of several ends before it has all, the others go on. `timeout` is in seconds. All are ended
    then, at Ctrl-C, and where `watch` raises. Raises OpsError for that, and where a program does not exist
    or takes too long.
    """
    until = time.monotonic() + timeout
    with ExitStack() as running:
        # A file, and no pipe: nobody reads what `source` says while the targets take what it sends.
        told = running.enter_context(tempfile.TemporaryFile())
        sending = _started(running, source, stdout=subprocess.PIPE, stderr=told)
        assert sending.stdout is not None  # noqa: S101 - asked for
        taking = _taking(running, targets, sending.stdout)
        sending.stdout.close()  # the others have it; open here nobody would be told that it ended
        sending.stdout = None
        ended = []
        for target, process in zip(targets, taking, strict=True):
            try:
                out, err = communicate(process, None, max(until - time.monotonic(), 0), watch)
            except subprocess.TimeoutExpired:
                raise TimedOut(target, timeout) from None
            ended.append(Completed(target, process.returncode, out, err))
        try:
            sending.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            raise TimedOut(source, timeout) from None
        told.seek(0)
        return Completed(source, sending.returncode, b"", told.read()), tuple(ended)


def _taking(
    running: ExitStack, targets: Sequence[Command], source: IO[bytes]
) -> list[subprocess.Popen[bytes]]:
    """The targets, started; several of them are fed by tee, which is in each coreutils."""
    if len(targets) == 1:
        return [_started(running, targets[0], stdin=source)]
    taking = [_started(running, target, stdin=subprocess.PIPE) for target in targets]
    inputs = [process.stdin for process in taking if process.stdin is not None]
    words = ("tee", "-p", *(f"/dev/fd/{each.fileno()}" for each in inputs[1:]))
    _started(running, Command(words), stdin=source, stdout=inputs[0], stderr=subprocess.DEVNULL, keep=inputs)
    for process, each in zip(taking, inputs, strict=True):
        each.close()
        process.stdin = None
    return taking


def _started(
    running: ExitStack,
    command: Command,
    *,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.PIPE,
    stderr: int | IO[bytes] = subprocess.PIPE,
    keep: Sequence[IO[bytes]] = (),
) -> subprocess.Popen[bytes]:
    """The program of `command`, which ends with `running` at the latest."""
    descriptors = [each.fileno() for each in keep]
    process = start(command, (stdin, stdout, stderr), pass_fds=descriptors)
    running.callback(_end, process)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        end(process)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
