"""Programs that are read or fed while they run: dumps and restores of any size in little memory."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import IO, Self

from techsapo_ops.adapters.process import (
    Command,
    Completed,
    TimedOut,
    Watch,
    communicate,
    end,
    start,
)
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

CHUNK = 256 * 1024
"""Bytes that are read or written at once."""
PATIENCE = 3600.0
"""Seconds for which a program may take nothing of what it is fed, or go on after the last of it."""
_F_SETPIPE_SZ = 1031
_PIPE_BYTES = 1024 * 1024
_GATHER_SECONDS = 0.001
_SHOWN = 2000
_END_SECONDS = 5.0
_SOURCE_END_SECONDS = 30.0
_AFTER_STATEMENT = "\n--------------\n"


class Stalled(OpsError):
    """A program said nothing for too long."""


class Running:
    """A program with a pipe to or from it; ended with the block, also when that fails.

    Its standard error goes to a file without a name, so that a talkative program can't block.
    """

    def __init__(self, command: Command, *, read: bool = False, feed: bool = False) -> None:
        self.command = command
        self.until: float | None = None
        """When the whole is over, by time.monotonic()."""
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        try:
            given = subprocess.PIPE if feed or command.stdin is not None else subprocess.DEVNULL
            taken = subprocess.PIPE if read else subprocess.DEVNULL
            self._process = start(command, (given, taken, self._errors), bufsize=0)
        except OpsError:
            self._errors.close()
            raise
        try:
            self._begin()
        except BaseException:
            self._end()
            raise

    def _begin(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(PermissionError):  # this user's share of pipe memory is used up
                    fcntl.fcntl(pipe.fileno(), _F_SETPIPE_SZ, _PIPE_BYTES)
        if self._process.stdin is not None:
            os.set_blocking(self._process.stdin.fileno(), False)
        if self.command.stdin is not None:
            self.write(self.command.stdin)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        self.close()
        if self._process.poll() is None:
            self.stop()
        for pipe in (self._process.stdout, self._errors):
            if pipe is not None:
                pipe.close()

    def read(self, timeout: float | None = None) -> bytes:
        """The next bytes of its output, at most CHUNK; empty at the end.

        Raises Stalled when none come for `timeout` seconds; where None, until the whole is over, or PATIENCE.
        """
        assert self._process.stdout is not None  # noqa: S101 - made with read=True
        descriptor = self._process.stdout.fileno()
        if timeout is None:
            timeout = PATIENCE if self.until is None else max(0.0, self.until - time.monotonic())
        if not select.select([descriptor], [], [], timeout)[0]:
            raise Stalled(msg("{name} has sent nothing for {timeout:g} s", name=self.name, timeout=timeout))
        return os.read(descriptor, CHUNK)

    def gather(self, timeout: float | None = None) -> bytes:
        """As `read`, for output without end: after a part of a CHUNK it gets a moment to write the rest.

        mariadb-dump writes 4 KiB at once: to be woken for each doubles what its reader costs besides packing.
        """
        data = self.read(timeout)
        if 0 < len(data) < CHUNK:
            time.sleep(_GATHER_SECONDS)
        return data

    def write(self, data: bytes) -> None:
        """Feed it. Raises OpsError with its own words when it takes no more, Stalled after PATIENCE s."""
        assert self._process.stdin is not None  # noqa: S101 - made with feed=True
        descriptor = self._process.stdin.fileno()
        left = memoryview(data)
        while left:
            if not select.select([], [descriptor], [], PATIENCE)[1]:
                raise Stalled(
                    msg("{name} has read nothing for {timeout:g} s", name=self.name, timeout=PATIENCE)
                )
            try:
                left = left[os.write(descriptor, left) :]
            except BlockingIOError:  # room for less than one page
                pass
            except BrokenPipeError:
                raise self._takes_no_more() from None
            if left:  # the pipe is full: more than one page of it is to be free at the next call
                time.sleep(_GATHER_SECONDS)

    def _takes_no_more(self) -> OpsError:
        try:
            code = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.stop()
            return self._failed(
                msg("closed its input, did not end within {timeout:g} s and was killed", timeout=_END_SECONDS)
            )
        return self.failure() if code else self._failed(msg("ended before it had read all of its input"))

    def close(self) -> None:
        """Say that nothing more is fed."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended. Raises Stalled after `timeout` seconds, PATIENCE where None."""
        self.close()
        timeout = PATIENCE if timeout is None else timeout
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Stalled(
                msg("{name} did not end within {timeout:g} s", name=self.name, timeout=timeout)
            ) from None

    def finish(self) -> None:
        """Wait for its end. Raises OpsError with its own words unless it ends with 0."""
        if self.wait() != 0:
            raise self.failure()

    @property
    def name(self) -> str:
        """The program's name, without the launcher or Docker in front of it."""
        return os.path.basename(self.command.program)  # noqa: PTH119 - a name

    @property
    def said(self) -> str:
        """The end of what it wrote to standard error."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - _SHOWN))
        return self._errors.read().decode(errors="replace").strip()

    def failure(self) -> OpsError:
        """What is to be told of its end."""
        code = self._process.returncode
        how = (
            msg("was killed by {name}", name=signal.Signals(-code).name)
            if code < 0
            else msg("failed with code {code}", code=code)
        )
        return self._failed(how)

    def _failed(self, how: str) -> OpsError:
        said = self.said
        # mariadb repeats the statement between two such lines, and then says what was wrong with it.
        said = said.rpartition(_AFTER_STATEMENT)[2].strip() or said
        return OpsError(
            msg(
                "{name} {how}{which}",
                name=self.name,
                how=how,
                which=msg(": {said}", said=said) if said else "",
            )
        )

    def stop(self) -> None:
        """End it, at first by SIGTERM; one that the kernel does not end either is left to it."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_SECONDS)
                return


def pour(pieces: Iterable[bytes], program: Running, progress: Callable[[int], None]) -> None:
    """Write every piece to `program`; `progress` is told how many bytes are done. Raises OpsError."""
    count = 0
    for data in pieces:
        program.write(data)
        count += len(data)
        progress(count)


@contextmanager
def conversation(command: Command, timeout: float) -> Iterator[Running]:
    """A program that is both read and fed, ended when the whole takes longer than `timeout` seconds."""
    with Running(command, read=True, feed=True) as program:
        program.until = time.monotonic() + timeout
        timer = threading.Timer(timeout, program.stop)
        timer.daemon = True
        timer.start()
        try:
            yield program
        except OpsError:
            if time.monotonic() >= program.until:
                raise Stalled(
                    msg("{program} did not end within {timeout:g} s", program=program.name, timeout=timeout)
                ) from None
            raise
        finally:
            timer.cancel()


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
        errors = running.enter_context(tempfile.TemporaryFile())
        sending = _started(running, source, stdout=subprocess.PIPE, stderr=errors)
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
            sending.wait(_SOURCE_END_SECONDS)
        except subprocess.TimeoutExpired:
            raise TimedOut(source, timeout) from None
        errors.seek(0)
        return Completed(source, sending.returncode, b"", errors.read()), tuple(ended)


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
