"""`monit` on a real terminal: keys, a resize, signals and faults; the terminal is always left as it was."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rows import each_row

sys.path.insert(0, str(Path(__file__).parents[2] / "lab"))
from terminal import Screen

WATCHED = [sys.executable, str(Path(__file__).with_name("watched_stack.py"))]


@contextmanager
def monitor(fault: str = "", **options: object) -> Iterator[Screen]:
    with Screen([*WATCHED, *([fault] if fault else [])], **options) as screen:  # type: ignore[arg-type]
        screen.shows("redis", "running")
        yield screen


def test_keys_choose_show_the_log_ask_and_restart() -> None:
    with monitor() as screen:
        screen.shows("> redis", "q end")
        screen.type("j")
        screen.shows("> app")
        screen.type("\x1b[B")
        screen.shows("> nginx")
        screen.type("k")
        screen.shows("> app")
        screen.type("l")
        screen.shows("log of app", "app 障害の監視 1 of 200")
        screen.type("j")
        screen.shows("log of nginx", "nginx 障害")
        screen.type("?")
        screen.shows("any key: back")
        screen.type(" r")
        screen.shows("restart nginx? y")
        screen.type("n")
        screen.shows("q end")
        screen.type("ry")
        screen.shows("nginx was restarted in")
        screen.type("q")
        assert screen.ends() == 0
        assert screen.restored
        assert "restarted: nginx" in "\n".join(screen.lines)


def test_the_log_goes_on_as_it_is_written() -> None:
    with monitor() as screen:
        screen.type("l")
        screen.shows("redis 障害の監視 3 of")


def test_it_is_drawn_anew_for_another_size() -> None:
    with monitor(size=(24, 100)) as screen:
        screen.shows("MEMORY")
        screen.resize(6, 24)
        deadline = time.monotonic() + 60
        while "MEMORY" in screen.shows("> redis") and time.monotonic() < deadline:
            screen._read(0.2)
        assert "MEMORY" not in "\n".join(screen.lines)
        screen.type("jj")
        screen.shows("> nginx")
        for rows, columns in ((1, 1), (2, 300), (50, 3), (24, 100)):
            screen.resize(rows, columns)
        screen.shows("MEMORY", "> nginx", "q end")
        screen.type("q")
        assert screen.ends() == 0


@each_row("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(number: signal.Signals) -> None:
    with monitor() as screen:
        screen.process.send_signal(number)
        assert screen.ends() != 0
        assert screen.restored


def test_ctrl_c_ends_it() -> None:
    with monitor() as screen:
        screen.type("\x03")
        assert screen.ends() != 0
        assert screen.restored


def test_a_mistake_of_ours_is_shown_on_a_terminal_that_is_as_it_was() -> None:
    with monitor("broken") as screen:
        assert screen.ends() == 1
        assert screen.restored
        assert "ValueError: a mistake of ours" in "\n".join(screen.lines)


def test_what_can_not_be_read_for_a_moment_is_said_below_what_was_known() -> None:
    with monitor("read") as screen:
        screen.shows("docker is away", "> redis")
        screen.type("q")
        assert screen.ends() == 0


def test_a_restart_that_fails_is_told_and_one_under_way_is_waited_for() -> None:
    with monitor("refuses") as screen:
        screen.type("ry")
        screen.shows("redis did not become ready")
    with monitor("slow") as screen:
        screen.type("ry")
        screen.shows("restarting redis")
        screen.type("ryq")  # no second one meanwhile
        assert screen.ends() == 0
        assert [line for line in screen.lines if line.startswith("restarted:")] == ["restarted: redis"]


def test_a_dead_stdin_takes_the_keys_alone() -> None:
    with Path(os.devnull).open() as nothing, monitor(stdin=nothing.fileno()) as screen:
        screen.shows("Ctrl-C ends")
        assert "> redis" not in "\n".join(screen.lines)
        screen.process.send_signal(signal.SIGINT)
        assert screen.ends() != 0


def test_ctrl_z_puts_it_aside_and_it_comes_back() -> None:
    with monitor() as screen:
        screen.process.send_signal(signal.SIGTSTP)
        pid, status = os.waitpid(screen.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert pid == screen.process.pid
        while screen._read(0.2):
            pass
        assert screen.restored
        os.kill(pid, signal.SIGCONT)
        deadline = time.monotonic() + 60
        while screen.whole.count(b"\x1b[?1049h") < 2 and time.monotonic() < deadline:
            screen._read(0.2)  # what is typed before it is back is the shell's
        screen.type("j")
        screen.shows("> app")
        screen.type("q")
        assert screen.ends() == 0
        assert screen.restored
