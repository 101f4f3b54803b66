from __future__ import annotations

import os
import sys

import pytest

from techsapo_ops.adapters.pipes import CHUNK, Running, Stalled
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


@pytest.mark.parametrize(
    ("wrote", "told"),
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
