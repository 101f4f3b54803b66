"""The command line on a terminal of its own, as a person sees it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pyte

if TYPE_CHECKING:
    from projects import Project

_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_SECONDS = 90


def typed(
    made: Project, *arguments: str, ask: str = "", answer: str = "", hidden: bool = False
) -> tuple[int, str]:
    """Exit code and screen of `techsapo …`; when `ask` is shown, `answer` is typed.

    One that is `hidden` is typed once the terminal shows none of it: what is typed before is thrown away.
    """
    parent, child = pty.openpty()
    # Of a terminal without a size redis-cli asks the cursor's place, and waits for it.
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    plain = {"COLUMNS": "160", "TERM": "xterm-256color", "NO_COLOR": "1"}
    process = subprocess.Popen(
        made.argv(*arguments), cwd=made.directory, stdin=child, stdout=child, stderr=child,
        env={**os.environ, **made.environment, **plain},
        # A password is asked for at /dev/tty, which in the session of the tests may be that of another test.
        start_new_session=True,
    )  # fmt: skip
    os.close(child)
    shown = b""
    asked = False
    deadline = time.monotonic() + _SECONDS
    while True:
        if not select.select([parent], [], [], max(deadline - time.monotonic(), 0))[0]:
            process.kill()
            break
        try:
            data = os.read(parent, 65536)
        except OSError:  # the last writer closed the terminal
            break
        if not data:
            break
        shown += data
        if ask and not asked and ask.encode() in shown:
            while hidden and termios.tcgetattr(parent)[3] & termios.ECHO and process.poll() is None:
                time.sleep(0.01)
            os.write(parent, answer.encode())
            asked = True
    code = process.wait(60)
    os.close(parent)
    return code, _CODES.sub("", shown.decode(errors="replace")).replace("\r\n", "\n")


class Screen:
    """A command on a terminal that it takes over, as pyte shows it.

    `whole` is all that was written, `before` how the terminal was set up. `stdin` takes its place as input.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        size: tuple[int, int] = (24, 100),
        stdin: int | None = None,
    ) -> None:
        self._parent, child = pty.openpty()
        self._screen = pyte.Screen(size[1], size[0])
        self._stream = pyte.ByteStream(self._screen)
        self.whole = b""
        self.resize(*size)
        self.child = child
        self.before = termios.tcgetattr(child)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _OWN_TERMINAL, *argv], cwd=cwd,
            stdin=child if stdin is None else stdin, stdout=child, stderr=child, pass_fds=(child,),
            env={**os.environ, **(environment or {}), "TERM": "xterm-256color", "TECHSAPO_TTY": str(child)},
            start_new_session=True,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(60)
        for number in (self._parent, self.child):
            with suppress(OSError):
                os.close(number)

    def resize(self, rows: int, columns: int) -> None:
        """Make the terminal another size; the kernel tells the command."""
        self._screen.resize(rows, columns)
        fcntl.ioctl(self._parent, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._parent, keys.encode())

    @property
    def lines(self) -> list[str]:
        """What is to be seen now."""
        return [line.rstrip() for line in self._screen.display]

    @property
    def restored(self) -> bool:
        """Whether the terminal is as it was: its settings, its main screen and its cursor."""
        out = self.whole
        balanced = out.count(b"\x1b[?1049h") == out.count(b"\x1b[?1049l")
        return (
            balanced
            and out.rfind(b"\x1b[?25h") > out.rfind(b"\x1b[?25l")
            and termios.tcgetattr(self.child) == self.before
        )

    def shows(self, *words: str, seconds: float = _SECONDS) -> str:
        """Wait until all `words` are to be seen; returns the screen."""
        deadline = time.monotonic() + seconds
        while not all(any(word in line for line in self.lines) for word in words):
            ended = self.process.poll() is not None
            if (not self._read(0.0 if ended else 1.0) and ended) or time.monotonic() > deadline:
                state = f"ended with {self.process.returncode}" if ended else "goes on"
                raise AssertionError(
                    f"{words} never came; it {state}:\n" + "\n".join(self.lines) + f"\n{self.whole[-2000:]!r}"
                )
        return "\n".join(self.lines)

    def ends(self, seconds: float = _SECONDS) -> int:
        """Wait for the command's end; returns its exit code."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            self._read(0.2)
            assert time.monotonic() < deadline, "it goes on:\n" + "\n".join(self.lines)
        while self._read(0.0):
            pass
        return self.process.returncode

    def _read(self, seconds: float) -> bool:
        if not select.select([self._parent], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._parent, 65536)
        except OSError:
            return False
        self.whole += data
        self._stream.feed(data)
        return bool(data)


_OWN_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(int(os.environ.pop("TECHSAPO_TTY")), termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Makes the terminal the controlling one of the new session, as a shell's is."""
