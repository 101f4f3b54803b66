"""How a program that is still at work is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from techsapo_ops.adapters import process
from techsapo_ops.adapters.process import Command, SubprocessRunner
from techsapo_ops.errors import OpsError

GENTLE = """
import pathlib, signal, sys, time
def leave(number, frame):
    pathlib.Path(sys.argv[1]).write_text("tidied up")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
while True: time.sleep(0.05)
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(0.05)"


def test_a_program_that_takes_too_long_may_tidy_up_before_it_ends(tmp_path: Path) -> None:
    command = Command((sys.executable, "-c", GENTLE, str(tmp_path / "note")))
    with pytest.raises(OpsError, match="did not end within"):
        SubprocessRunner().run(command, timeout=1.0)
    assert (tmp_path / "note").read_text() == "tidied up"


def test_a_program_deaf_to_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_TERM_SECONDS", 0.2)
    with pytest.raises(OpsError, match="did not end within"):
        SubprocessRunner().run(Command((sys.executable, "-c", DEAF)), timeout=0.5)


def test_ctrl_c_as_a_program_ends_by_itself_stays_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    def ends_and_is_interrupted(self: subprocess.Popen[bytes], *_: object, **__: object) -> None:
        self.wait(60)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", ends_and_is_interrupted)
    with pytest.raises(KeyboardInterrupt):
        SubprocessRunner().run(Command(("true",)))


def test_a_pipe_that_an_orphan_holds_open_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_TERM_SECONDS", 0.2)
    monkeypatch.chdir(tmp_path)
    orphan = "setsid sh -c 'echo $$ >new; mv new pid; exec sleep 600'"
    with pytest.raises(OpsError, match="did not end within"):
        SubprocessRunner().run(Command(("sh", "-c", f"{orphan} & echo started")), timeout=0.5)
    if Path("pid").exists():  # else this machine is too slow to have begun it
        os.kill(int(Path("pid").read_text()), signal.SIGKILL)  # it is still there
