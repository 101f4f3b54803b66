"""The script that starts nginx on several machines, with a program in its place that says what it is told."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from rows import each_row

from techsapo_ops.render.templates import Templates

SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]
"""Those of the images: Alpine's, Debian's, and that of who brings their own."""
PROGRAM = """
import os, signal, sys

def note(word):
    with open("told", "a") as told:
        told.write(word + "\\n")

def quit(*_):
    note("QUIT")
    if not os.path.exists("slow"):
        sys.exit(0)

def term(*_):
    note("TERM")
    sys.exit(0)

# As nginx does it: what a shell starts beside itself ignores SIGQUIT at first.
signal.signal(signal.SIGQUIT, quit)
signal.signal(signal.SIGTERM, term)
note(" ".join(sys.argv[1:]))
while True:
    signal.pause()
"""


@dataclass
class Started:
    folder: Path
    process: subprocess.Popen[bytes]

    def told(self) -> list[str]:
        path = self.folder / "told"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def drains(self) -> bool:
        return (self.folder / "drain").exists()

    def wait_for(self, *told: str) -> None:
        deadline = time.monotonic() + 60
        while self.told() != list(told):
            assert time.monotonic() < deadline, self.told()
            time.sleep(0.01)

    def wait_for_drain(self) -> None:
        deadline = time.monotonic() + 60
        while not self.drains:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def wait_until_asleep(self) -> None:
        """Until the shell does nothing but wait for a sleep, its second child."""
        shell = psutil.Process(self.process.pid)
        deadline = time.monotonic() + 60
        while len(shell.children()) < 2 or shell.status() != psutil.STATUS_SLEEPING:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@contextmanager
def started(shell: str, folder: Path, seconds: float, program: str = PROGRAM) -> Iterator[Started]:
    text = Templates().render("nginx/start.sh.j2", drain_file=folder / "drain", drain_seconds=seconds)
    (folder / "start.sh").write_text(text)
    words = ["busybox", "sh"] if shell == "busybox" else [shell]
    process = subprocess.Popen(
        [*words, "start.sh", sys.executable, "-c", program, "-p", "/data"],
        cwd=folder, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        yield Started(folder, process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


@each_row("shell", SHELLS)
def test_told_to_stop_it_says_so_serves_on_and_lets_the_server_finish(shell: str, tmp_path: Path) -> None:
    (tmp_path / "drain").touch()  # of the one before
    with started(shell, tmp_path, 0.5) as it:
        it.wait_for("-p /data")
        assert not it.drains
        it.process.terminate()
        it.wait_for_drain()
        assert it.told() == ["-p /data"], "it still serves"
        assert it.process.wait(60) == 0
        assert it.told() == ["-p /data", "QUIT"]


@each_row("shell", SHELLS)
def test_a_second_word_ends_the_waiting_and_a_third_one_the_server(shell: str, tmp_path: Path) -> None:
    (tmp_path / "slow").touch()
    with started(shell, tmp_path, 3600) as it:
        it.wait_for("-p /data")
        it.process.terminate()
        it.wait_for_drain()
        it.wait_until_asleep()
        it.process.terminate()
        it.wait_for("-p /data", "QUIT")
        assert it.process.poll() is None, "what is under way may finish"
        it.process.terminate()
        assert it.process.wait(60) == 0
        assert it.told() == ["-p /data", "QUIT", "TERM"]


@each_row("shell", SHELLS)
@each_row("program, code", [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)])
def test_a_server_that_ends_by_itself_ends_the_container(
    shell: str, program: str, code: int, tmp_path: Path
) -> None:
    with started(shell, tmp_path, 3600, program) as it:
        assert it.process.wait(60) == code
        assert not it.drains
