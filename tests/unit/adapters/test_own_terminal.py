"""A program at a terminal of its own, in front of somebody's: what it can do to that, and what goes by."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shlex
import struct
import subprocess
import sys
import termios
import time

_MAIN = """
import os, sys
from techsapo_ops.adapters.own_terminal import attached_apart
from techsapo_ops.adapters.process import Command
print("outer", os.ttyname(1), flush=True)
code = attached_apart(Command(tuple(sys.argv[1:])), dict(os.environ))
print("code", code, flush=True)
"""


class Screen:
    """A person's terminal, in which `words` are run by the function under test."""

    def __init__(self, *words: str) -> None:
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.execv(sys.executable, [sys.executable, "-c", _MAIN, *words])  # noqa: S606 - no shell
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
        self.shown = ""

    def until(self, pattern: str) -> re.Match[str]:
        """Wait until `pattern` was shown."""
        end = time.monotonic() + 60
        while (found := re.search(pattern, self.shown)) is None:
            assert time.monotonic() < end, self.shown
            if not self.read():
                assert re.search(pattern, self.shown), self.shown
        return found

    def read(self) -> bool:
        """Take what was shown meanwhile; False once nothing more will be."""
        if select.select([self._fd], [], [], 1)[0]:
            try:
                self.shown += os.read(self._fd, 65536).decode()
            except OSError:
                return False
        return True

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self._fd)[3] & termios.ECHO)

    def close(self) -> None:
        os.close(self._fd)
        os.waitpid(self._pid, 0)


def test_keys_go_to_the_program_also_ctrl_c_and_the_callers_terminal_is_as_before() -> None:
    screen = Screen("/bin/sh", "-c", "trap 'exit 7' INT; read word; echo got $word; sleep 60 & wait")
    screen.until("outer")
    screen.type("hello\r")
    screen.until("got hello")
    screen.type("\x03")
    screen.until("code 7")
    assert screen.echoes
    screen.close()


def test_files_and_pipes_stay_what_they_are() -> None:
    words = ["-c", _MAIN.replace('print("outer", os.ttyname(1), flush=True)', ""), "/bin/sh", "-c"]
    said = subprocess.run(
        [sys.executable, *words, "test -t 0 || test -t 1 || test -t 2 || cat; tty > /dev/tty; exit 3"],
        input=b"a\nb\0c", capture_output=True, check=True,
    )  # fmt: skip
    assert (said.stdout, said.stderr) == (b"a\nb\0ccode 3\n", b"")


def test_a_pager_behind_the_program_has_the_terminal_for_itself() -> None:
    main = _MAIN.replace('print("outer", os.ttyname(1), flush=True)', "")
    inner = f"{sys.executable} -c {shlex.quote(main)} /bin/sh -c 'echo a; echo b; cat; tty >&2' | cat"
    screen = Screen("/bin/sh", "-c", f"{inner}; echo over")
    outer = screen.until(r"outer (/dev/pts/\d+)")[1]
    screen.until("over")
    screen.close()
    assert "a\r\nb\r\n" in screen.shown
    assert screen.shown.count(outer) == 1
