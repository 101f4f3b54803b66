"""How a program that is still at work is ended, fed and read: by nobody is it waited for without end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from rows import each_row

from techsapo_ops.adapters import pipes, process, supervised
from techsapo_ops.adapters.pipes import CHUNK, Running, Stalled, conversation
from techsapo_ops.adapters.process import Command, SubprocessRunner
from techsapo_ops.cli.process import interruptible
from techsapo_ops.errors import OpsError


def python(code: str) -> Command:
    return Command((sys.executable, "-I", "-c", code))


def test_what_comes_in_little_pieces_is_gathered_whole_and_in_order() -> None:
    pieces = 500
    code = f"import os\nfor n in range({pieces}): os.write(1, b'%08d' % n * 512)"
    with Running(python(code), read=True) as program:
        blocks = list(iter(program.gather, b""))
        program.finish()
    assert b"".join(blocks) == b"".join(b"%08d" % n * 512 for n in range(pieces))
    assert max(map(len, blocks)) <= CHUNK


def test_a_program_that_says_nothing_has_stalled_and_is_ended_with_the_block() -> None:
    with Running(python("import time; time.sleep(60)"), read=True) as program:
        with pytest.raises(Stalled, match="has sent nothing for"):
            program.gather(0.1)
        pid = program._process.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@each_row(
    "wrote, told",
    [
        (r"--------------\nSELECT 1\n--------------\n\nERROR 1021: Disk full", "ERROR 1021: Disk full"),
        (r"LECT 1\n--------------\n\nERROR 1021: Disk full", "ERROR 1021: Disk full"),
        (r"ERROR 1045: Access denied", "ERROR 1045: Access denied"),
        (r"--------------\nSELECT 1\n--------------\n", "--------------\nSELECT 1\n--------------"),
    ],
    ids=["whole", "cut", "no statement", "nothing else"],
)
def test_a_statement_that_a_client_repeats_does_not_hide_what_was_wrong(wrote: str, told: str) -> None:
    code = f"import sys; sys.stderr.write('{wrote}'); sys.exit(1)"
    with Running(python(code)) as program, pytest.raises(OpsError) as failed:
        program.finish()
    assert failed.value.message.partition("code 1: ")[2] == told


@contextmanager
def nothing_left() -> Iterator[None]:
    """No process and no descriptor more than before the block."""
    before = set(psutil.Process().children()), len(list(Path("/proc/self/fd").iterdir()))
    yield
    after = set(psutil.Process().children()), len(list(Path("/proc/self/fd").iterdir()))
    assert after == before


CLOSES_AND_SLEEPS = "import os, time; os.close(0); time.sleep(20)"


def test_a_program_that_takes_no_more_and_goes_on_is_ended_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "_END_SECONDS", 0.2)
    with (
        nothing_left(),
        Running(python(CLOSES_AND_SLEEPS), feed=True) as program,
        pytest.raises(OpsError) as failed,
    ):
        program.write(bytes(64 * CHUNK))
    assert "closed its input" in failed.value.message
    assert "code 0" not in failed.value.message


def test_a_program_that_ends_well_before_it_took_all_has_failed() -> None:
    with (
        Running(python("import sys; sys.stdin.buffer.read(10)"), feed=True) as program,
        pytest.raises(OpsError, match="before it had read all"),
    ):
        program.write(bytes(64 * CHUNK))


def test_what_is_fed_from_the_start_leaves_nothing_open_where_it_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipes, "_END_SECONDS", 0.2)
    command = Command((sys.executable, "-I", "-c", CLOSES_AND_SLEEPS), stdin=bytes(16 * CHUNK))
    kept = []
    with nothing_left():
        try:
            Running(command, read=True)
        except OpsError as error:
            kept.append(error)  # with its traceback, which keeps the object from being collected
    assert kept


def feed_whole(program: Running) -> None:
    program.write(bytes(16 * CHUNK))
    program.finish()


@each_row("code", ["", "import sys; sys.stdin.read()"], ids=["not read", "read"])
def test_a_program_that_never_ends_has_stalled(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    monkeypatch.setattr(pipes, "PATIENCE", 0.3)
    with (
        nothing_left(),
        Running(python(f"{code}\nimport time; time.sleep(20)"), feed=True) as program,
        pytest.raises(Stalled),
    ):
        feed_whole(program)


ORPHAN = "import subprocess; subprocess.Popen(['sleep', '15'], start_new_session=True)"
"""It holds the pipes of its parent for longer than that lives."""


def test_a_conversation_ends_in_time_where_an_orphan_holds_its_pipe() -> None:
    with pytest.raises(Stalled, match="did not end within 1 s"), conversation(python(ORPHAN), 1.0) as program:
        program.read()


def test_output_that_an_orphan_holds_open_is_waited_for_no_longer_than_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipes, "PATIENCE", 1.0)
    with (
        Running(python(ORPHAN), read=True) as program,
        pytest.raises(Stalled, match="has sent nothing for 1 s"),
    ):
        program.read()


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


@each_row("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_while_a_program_is_started_ends_it(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def starting(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        made.append(popen(*arguments, **options))
        os.kill(os.getpid(), number)
        return made[0]

    monkeypatch.setattr(supervised.subprocess, "Popen", starting)
    with interruptible():
        ended = supervised.supervise(Command(("sleep", "60")), timeout=60, line=lambda _: None)
    assert (ended.interrupted, ended.timed_out) == (True, False)
    assert made[0].poll() is not None


def test_afterwards_signals_do_what_they_did() -> None:
    before = signal.getsignal(signal.SIGTERM)
    supervised.supervise(Command(("true",)), timeout=60, line=lambda _: None)
    assert signal.getsignal(signal.SIGTERM) is before
