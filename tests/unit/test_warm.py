"""A program that the labs start warm is what a new interpreter would make of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import warm
from rows import each_row

TELL = """
import json, os, signal, sys
signals = [str(signal.getsignal(s)) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD)]
files = sorted(os.listdir("/proc/self/fd"))
words = [sys.argv, sys.orig_argv, sys.path[0], __name__]
print(json.dumps([*words, os.getcwd(), dict(os.environ), signals, files]))
print(sys.stdin.read(), file=sys.stderr)
raise SystemExit(7)
"""


def cold(argv: list[str], folder: Path, environment: dict[str, str]) -> tuple[int, str, str]:
    done = subprocess.run(
        argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    return done.returncode, done.stdout, done.stderr


@each_row(
    "words",
    [
        ("tell.py", "a", "値"),
        ("-m", "tell", "x"),
        ("-m", "techsapo_ops", "nonsense"),
    ],
    ids=["file", "-m", "usage"],
)
def test_it_tells_the_same_as_a_cold_one(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "tell.py").write_text(TELL, encoding="utf-8")
    argv, environment = [sys.executable, *words], {**os.environ, "NO_COLOR": "1", "OF_THE_TEST": "値"}
    assert warm.can_be_warm(argv, environment)
    done = warm.run(argv, environment, cwd=tmp_path, text=True)
    assert (done.returncode, done.stdout, done.stderr) == cold(argv, tmp_path, environment)


def test_it_is_a_process_of_its_own_that_is_killed_and_left_by_itself() -> None:
    argv = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"]
    with warm.popen(argv, stdout=subprocess.PIPE, text=True) as first:
        assert int(first.stdout.readline()) == first.pid != os.getpid()
        assert first.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            first.wait(0.01)
        done = warm.run([sys.executable, "-c", "print('beside it')"], text=True)
        assert done.stdout == "beside it\n"
        first.kill()
        assert first.wait(10) == first.poll() == -signal.SIGKILL


def test_what_an_interpreter_reads_at_its_start_makes_a_program_cold() -> None:
    argv = [sys.executable, "-m", "techsapo_ops", "ps"]
    assert not warm.can_be_warm(argv, {**os.environ, "PYTHONUTF8": "0"})
    assert not warm.can_be_warm(argv, {**os.environ, "LC_ALL": "C"})
    assert not warm.can_be_warm(["env", *argv], os.environ)
    assert not warm.can_be_warm([sys.executable, "-I", *argv[1:]], os.environ)
