"""A program at a terminal of its own, in front of somebody's: what it can do to that, and what goes by."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import threading
import time
from pathlib import Path

from rows import each_row

_MAIN = """
import os, sys
from techsapo_ops.adapters.own_terminal import attached_apart
from techsapo_ops.adapters.process import Command
print("outer", os.ttyname(1), flush=True)
code = attached_apart(Command(tuple(sys.argv[1:])), dict(os.environ))
print("code", code, flush=True)
"""
_INNER = """
import os
names = [os.ttyname(number) if os.isatty(number) else "none" for number in (0, 1)]
print("inner", *names, os.get_terminal_size(1), flush=True)
with open("/dev/tty") as own:
    print("session", os.tcgetpgrp(own.fileno()) == os.getpgrp(), flush=True)
"""


class Screen:
    """A person's terminal, in which `words` are run by the function under test."""

    def __init__(self, *words: str, stdin: str = "") -> None:
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            if stdin:
                os.dup2(os.open(stdin, os.O_RDONLY), 0)
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


def test_it_has_another_terminal_of_the_same_size_and_nothing_of_the_callers() -> None:
    screen = Screen("/bin/sh", "-c", f"sleep 0.2; exec {sys.executable} -c '{_INNER}'")
    outer = screen.until(r"outer (\S+)\s")[1]
    found = screen.until(r"inner (\S+) (\S+) (os.terminal_size\(.*\))")
    screen.until("code 0")
    assert found[1] == found[2] != outer
    assert "columns=101, lines=33" in found[3]
    assert "session True" in screen.shown
    screen.close()


def test_keys_go_to_the_program_also_ctrl_c_and_the_callers_terminal_is_as_before() -> None:
    screen = Screen("/bin/sh", "-c", "trap 'exit 7' INT; read word; echo got $word; sleep 60 & wait")
    screen.until("outer")
    screen.type("hello\r")
    screen.until("got hello")
    screen.type("\x03")
    screen.until("code 7")
    assert screen.echoes
    screen.close()


def test_much_that_is_typed_while_much_is_said_arrives_whole() -> None:
    said = "print('ready', flush=True); print('x' * 300_000)"
    screen = Screen(sys.executable, "-c", f"import sys; {said}; print('lines', sum(1 for _ in sys.stdin))")
    screen.until("ready")
    typist = threading.Thread(target=lambda: [screen.type(f"{'y' * 99}\r") for _ in range(800)], daemon=True)
    typist.start()
    while typist.is_alive():
        screen.read()
    screen.type("\x04")
    screen.until("lines 800")
    screen.close()


def test_who_still_holds_the_terminal_is_not_waited_for() -> None:
    screen = Screen("/bin/sh", "-c", "trap '' HUP; sleep 600 & echo left $! .; exit 3")
    left = int(screen.until(r"left (\d+) \.")[1])
    screen.until("code 3")
    os.kill(left, signal.SIGKILL)
    screen.close()


def test_the_program_ends_with_the_terminal_of_who_called(tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    screen = Screen(
        "/bin/sh", "-c", f"trap 'echo x > {ended}; exit 4' HUP; echo ready; while :; do sleep 0.1; done"
    )
    screen.until("ready")
    screen.close()  # as ssh does when the line is cut
    assert ended.exists()


def test_a_stream_that_is_no_terminal_stays_what_it_is() -> None:
    screen = Screen(sys.executable, "-c", _INNER, stdin="/dev/null")
    outer = screen.until(r"outer (\S+)\s")[1]
    found = screen.until(r"inner (\S+) (\S+) os")
    assert (found[1], found[2] != outer) == ("none", True)
    screen.until("code 0")
    assert "\r\r\n" not in screen.shown
    screen.close()


@each_row("ending", ["-TERM", "-KILL"])
def test_one_that_a_signal_ended_is_told_as_a_shell_does(ending: str) -> None:
    screen = Screen("/bin/sh", "-c", f"kill {ending} $$")
    screen.until(f"code {143 if ending == '-TERM' else 137}")
    screen.close()
