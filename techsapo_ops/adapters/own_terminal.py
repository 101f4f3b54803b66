"""A program with fewer rights at somebody's terminal: it gets one of its own, between which bytes are passed.

Who has a terminal open may put characters into its input (TIOCSTI, which kernels before 6.2 always allow),
and read what is typed there after the program has ended. A service's user must not do that to root's shell.
`su --pty` does the same.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from techsapo_ops.adapters.process import Command, not_started, program_of

_STREAMS = (0, 1, 2)
_ONCE = 65536
"""Bytes that are passed on at once."""
_ASKED_TO_END = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)


def attached_apart(command: Command, environment: Mapping[str, str]) -> int:
    """Run `command` with this process's input and output, but in a session and at a terminal of its own.

    As `process.attached` in all else. Of the streams those that are a terminal become the new one; files and
    pipes stay what they are. Raises OpsError when it can't be started.
    """
    shown = [number for number in _STREAMS if os.isatty(number)]
    if not shown:
        return _code(_started(command, environment, {}))
    ours, theirs = pty.openpty()
    try:
        try:
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, _size(shown[0]))
            if 0 not in shown:  # our terminal still does that to the ends of lines
                _plain_output(theirs)
            process = _started(command, environment, dict.fromkeys(shown, theirs))
        finally:
            os.close(theirs)
        return _code(process, ours, shown)
    finally:
        os.close(ours)


def _started(
    command: Command, environment: Mapping[str, str], streams: Mapping[int, int]
) -> subprocess.Popen[bytes]:
    def enter() -> None:  # in the child, before it becomes the program
        if streams:
            fcntl.ioctl(next(iter(streams)), termios.TIOCSCTTY, 0)
            # Below nohup it is ignored, and the program would outlast its terminal.
            signal.signal(signal.SIGHUP, signal.SIG_DFL)

    try:
        return subprocess.Popen(
            command.argv, executable=program_of(command),
            env={**environment, **command.env}, cwd=command.cwd, start_new_session=True,
            stdin=streams.get(0), stdout=streams.get(1), stderr=streams.get(2),
            preexec_fn=enter,
        )  # fmt: skip
    except OSError as error:
        raise not_started(command, error) from None


def _code(process: subprocess.Popen[bytes], ours: int = -1, shown: Sequence[int] = ()) -> int:
    """The exit code of `process`, for whose terminal `ours` stands; `shown` are the streams that it is."""

    def pass_on(number: int, _: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    with _handled(dict.fromkeys(_ASKED_TO_END, pass_on)):
        if shown:
            with _raw(shown), _sizes(ours, shown[0]):
                _pass_on(process, ours, shown)
        code = process.wait()
    return code if code >= 0 else 128 - code


def _pass_on(process: subprocess.Popen[bytes], ours: int, shown: Sequence[int]) -> None:
    """Between the two terminals until the program has ended; nobody who still holds its one is waited for."""
    os.set_blocking(ours, False)  # a program that says much before it reads is not waited for either
    listens, typed = 0 in shown, b""
    to = next(number for number in (1, 2, 0) if number in shown)
    while True:
        over = process.poll() is not None
        sources = [ours, *([0] if listens and not typed and not over else [])]
        # What it said last comes a little after its end; nothing more does once nobody has it open.
        ready, room, _ = select.select(
            sources, [ours] if typed and not over else [], [], 0.5 if over else 0.2
        )
        if ours in ready:
            try:
                said = os.read(ours, _ONCE)
            except OSError as error:
                if error.errno != errno.EIO:  # nobody has it open any more
                    raise
                return
            with suppress(OSError):  # our terminal is gone: the program is told below
                _write(to, said)
        elif over:
            return
        if room:
            with suppress(BlockingIOError):
                typed = typed[os.write(ours, typed) :]
        if 0 in ready:
            typed = _typed()
            if not typed:
                listens = False
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGHUP)


def _typed() -> bytes:
    """What was typed; nothing where our terminal is gone."""
    try:
        return os.read(0, _ONCE)
    except OSError:
        return b""


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def _size(terminal: int) -> bytes:
    return fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(8))


def _plain_output(terminal: int) -> None:
    settings = termios.tcgetattr(terminal)
    settings[1] &= ~termios.OPOST
    termios.tcsetattr(terminal, termios.TCSANOW, settings)


@contextmanager
def _raw(shown: Sequence[int]) -> Iterator[None]:
    """Every key goes to the program, Ctrl-C too: its own terminal knows what that means."""
    if 0 not in shown:
        yield
        return
    sys.stdout.flush()
    before = termios.tcgetattr(0)
    tty.setraw(0, termios.TCSANOW)
    if 1 not in shown:  # what is at the other end of the pipe writes to this terminal as to any
        raw = termios.tcgetattr(0)
        raw[1] |= termios.OPOST
        termios.tcsetattr(0, termios.TCSANOW, raw)
    try:
        yield
    finally:
        with suppress(termios.error):  # it is gone
            termios.tcsetattr(0, termios.TCSADRAIN, before)


@contextmanager
def _sizes(ours: int, shown: int) -> Iterator[None]:
    """The program's terminal stays as large as the one that is looked at."""

    def follow(_: int, __: FrameType | None) -> None:
        with suppress(OSError):
            fcntl.ioctl(ours, termios.TIOCSWINSZ, _size(shown))

    with _handled({signal.SIGWINCH: follow}):
        yield


@contextmanager
def _handled(handlers: Mapping[signal.Signals, Callable[[int, FrameType | None], None]]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
