"""Runs a program under a time limit and ends everything that it started, whatever it did to escape."""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import psutil

from techsapo_ops.adapters.process import RESULT_VARIABLE, Command, start
from techsapo_ops.errors import OpsError

TERM_SECONDS = 10.0
"""How long a program may clean up after SIGTERM."""
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_CHILD_SUBREAPER = 36
_POLL = 0.2
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended. `code` is as in a shell: 128 and the signal where one killed it.

    `leftovers` are the processes that it left behind and that were ended, by name.
    """

    code: int
    timed_out: bool
    interrupted: bool
    result: bytes
    leftovers: tuple[str, ...] = ()


def supervise(
    command: Command, *, timeout: float, line: Callable[[str], None], keep: Sequence[int] = ()
) -> Ended:
    """Run `command` to its end, to the end of `timeout` seconds, or to Ctrl-C; `line` gets what it prints.

    Then nothing that it started is left, not even what moved to a session of its own: this process adopts
    orphans (PR_SET_CHILD_SUBREAPER in prctl(2)) for as long as the program runs. Descriptors in `keep` are
    inherited. Raises OpsError when the program can't be started.
    """
    held = _HeldBack()
    with held, _adopting() as known:
        reader, writer = os.pipe()
        try:
            process = start(
                replace(command, env={**command.env, RESULT_VARIABLE: str(writer)}),
                (subprocess.DEVNULL, subprocess.PIPE, subprocess.STDOUT),
                pass_fds=(writer, *keep),
            )
        except OpsError:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        return _Watch(process, reader, line, known).to_the_end(timeout, held.release)


@dataclass(slots=True)
class _HeldBack:
    """Holds back what asks this process to end, from the block's begin until `release` or the block's end.

    A program that has just been started would outlive a KeyboardInterrupt that is raised before anything
    watches it. Only the main thread gets signals: elsewhere there is nothing to hold back.
    """

    before: dict[signal.Signals, Any] = field(default_factory=dict)
    came: list[int] = field(default_factory=list)

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self.before = {
                number: signal.signal(number, lambda got, _: self.came.append(got)) for number in _ENDING
            }

    def release(self) -> None:
        """Let signals through again, first one that came meanwhile."""
        while self.before:
            signal.signal(*self.before.popitem())
        if came := self.came[:1]:
            self.came.clear()  # several at once are one wish
            os.kill(os.getpid(), came[0])

    def __exit__(self, *_: object) -> None:
        self.release()


@contextlib.contextmanager
def _adopting() -> Iterator[frozenset[int]]:
    """Adopt orphans while the block runs; yields the children that were there before."""
    libc = ctypes.CDLL(None, use_errno=True)
    known = frozenset(p.pid for p in psutil.Process().children(recursive=True))
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    try:
        yield known
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@dataclass(slots=True)
class _Watch:
    process: subprocess.Popen[bytes]
    reader: int
    line: Callable[[str], None]
    known: frozenset[int]
    result: bytearray = field(default_factory=bytearray)
    partial: bytearray = field(default_factory=bytearray)

    def to_the_end(self, timeout: float, watched: Callable[[], None]) -> Ended:
        """Read and wait; `watched` is called once an interruption ends the program, too."""
        assert self.process.stdout is not None  # noqa: S101 - a pipe was asked for
        deadline = time.monotonic() + timeout
        timed_out = interrupted = False
        with selectors.DefaultSelector() as selector, os.fdopen(self.reader, "rb", 0):
            for descriptor in (self.process.stdout.fileno(), self.reader):
                os.set_blocking(descriptor, False)
                selector.register(descriptor, selectors.EVENT_READ)
            try:
                watched()
                timed_out = not self._until(selector, deadline)
            except KeyboardInterrupt:
                interrupted = True
            try:
                if timed_out or interrupted:
                    self._signal(signal.SIGTERM)
                    self._until(selector, time.monotonic() + TERM_SECONDS)
            except KeyboardInterrupt:  # a second Ctrl-C: at once, then
                interrupted = True
            leftovers = self._end_all()
            self._read(selector, 0)
            self.process.stdout.close()
        if self.partial:
            self.line(self.partial.decode(errors="replace"))
        code = self.process.wait()
        return Ended(code if code >= 0 else 128 - code, timed_out, interrupted, bytes(self.result), leftovers)

    def _until(self, selector: selectors.BaseSelector, deadline: float) -> bool:
        """Read until the program has ended; False where `deadline` comes first."""
        while self.process.poll() is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._read(selector, min(left, _POLL))
        return True

    def _read(self, selector: selectors.BaseSelector, wait: float) -> None:
        """Take what is there, waiting for it up to `wait` seconds once."""
        if not selector.get_map():
            time.sleep(min(wait, _POLL / 4))
            return
        while ready := selector.select(wait):
            wait = 0
            for key, _ in ready:
                data = os.read(key.fd, _CHUNK)
                if not data:
                    selector.unregister(key.fd)
                elif key.fd == self.reader:
                    self.result += data
                else:
                    self._take(data)
            if not selector.get_map():
                return

    def _take(self, data: bytes) -> None:
        *lines, rest = (bytes(self.partial) + data).split(b"\n")
        self.partial = bytearray(rest[-_CHUNK:])
        for line in lines:
            self.line(line.decode(errors="replace").rstrip("\r"))

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself
            os.killpg(self.process.pid, number)

    def _end_all(self) -> tuple[str, ...]:
        """Kill what is left, the program included, until nothing is; returns the names of all but it.

        What hangs in the kernel dies later: it is not waited for longer than TERM_SECONDS.
        """
        names: dict[int, str] = {}
        deadline = time.monotonic() + TERM_SECONDS
        while True:
            left = [p for p in psutil.Process().children(recursive=True) if p.pid not in self.known]
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):  # it ended by itself
                    if process.status() == psutil.STATUS_ZOMBIE:
                        self._reap(process.pid)
                        continue
                    if process.pid != self.process.pid:
                        names[process.pid] = process.name()
                    process.kill()
            if not left or time.monotonic() > deadline:
                return tuple(names.values())
            time.sleep(0.01)

    def _reap(self, pid: int) -> None:
        if pid == self.process.pid:
            self.process.poll()
            return
        with contextlib.suppress(ChildProcessError):  # a grandchild whose parent has yet to reap it
            os.waitpid(pid, os.WNOHANG)
