from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from rows import each_row

from techsapo_ops.adapters import pipes
from techsapo_ops.adapters.pipes import CHUNK, Running, Stalled, conversation
from techsapo_ops.adapters.process import Command
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
        with pytest.raises(Stalled, match="has said nothing for"):
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
        pytest.raises(OpsError, match="before it had taken all"),
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
        pytest.raises(Stalled, match="has said nothing for 1 s"),
    ):
        program.read()
