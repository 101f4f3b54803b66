"""Cron's expressions, and the block of the stack's jobs in somebody's crontab."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rows import each_row

from techsapo_ops.catalogue.yaml_text import read_yaml
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.timetable import Line, cron_quote, crontab_block, find_block, replace_block
from techsapo_ops.spec.cron import next_run

CASES = read_yaml((Path(__file__).parents[2] / "cases/cron.yaml").read_text(encoding="utf-8"))


@each_row("expression, now, zone, expected", [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_the_next_run_is_cron_s(expression: str, now: str, zone: str, expected: str | None) -> None:
    found = next_run(expression, datetime.fromisoformat(now), ZoneInfo(zone))
    assert found == (datetime.fromisoformat(expected) if expected else None)


@each_row(
    "expression",
    ["", "* * * *", "60 * * * *", "* * * * 8", "* * * * 5-2", "* * * * */0", "* * * * 1-5/x", "a b c d e"],
)
def test_what_is_no_cron_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="not a cron expression"):
        next_run(expression, datetime.now(UTC), UTC)


SPEC = Path("/srv/プロ %h 1/techsapo.yaml")
LINES = [Line("backup", "0 2 * * *", ("/opt/py", "--file", str(SPEC)))]
BLOCK = crontab_block(SPEC, LINES, {"PATH": "/usr/bin", "LC_ALL": "C.UTF-8"})


def as_cron_reads(command: str) -> str:
    """What do_command.c of Debian's cron hands to the shell."""
    out: list[str] = []
    escaped = False
    for character in command:
        if escaped and character == "%":
            out[-1] = "%"
        elif character == "%" and not escaped:
            break
        else:
            out.append(character)
        escaped = character == "\\" and not escaped
    return "".join(out)


def test_the_block_sets_the_environment_of_its_commands_alone() -> None:
    lines = BLOCK.decode().splitlines()
    assert lines[0] == f"# >>> techsapo jobs of {SPEC}"
    assert lines[-1] == f"# <<< techsapo jobs of {SPEC}"
    assert lines[2] == (
        r"0 2 * * * env PATH=/usr/bin LC_ALL=C.UTF-8 /opt/py --file '/srv/プロ '\%'h 1/techsapo.yaml'"
    )
    assert not [line for line in lines if "=" in line.split(" ")[0]]


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20))
def test_any_word_arrives_through_cron_and_shell(word: str) -> None:
    line = as_cron_reads(f"printf %s {cron_quote(word)}".replace("%s", r"\%s"))
    assert subprocess.run(["sh", "-c", line], capture_output=True, check=True).stdout.decode() == word


@each_row("word", ["a\nb", "\x00", "\x7f"])
def test_a_control_character_is_refused(word: str) -> None:
    with pytest.raises(OpsError, match="control character"):
        cron_quote(word)


def test_a_command_that_cron_would_cut_is_refused() -> None:
    with pytest.raises(OpsError, match="cron does not accept a command of"):
        crontab_block(SPEC, LINES, {"PATH": "/usr/bin:" * 200})


@each_row(
    "before",
    [
        b"",
        b"MAILTO=me\n0 1 * * * a \\% b\n",
        b"# caf\xe9 \xff\n\n\n",
        b"\t0 1 * * * x\r\n",
        b"0 1 * * * no end",
    ],
)
def test_the_rest_of_the_crontab_stays_byte_for_byte(before: bytes) -> None:
    once = replace_block(before, SPEC, BLOCK)
    assert replace_block(once, SPEC, BLOCK) == once
    assert find_block(once, SPEC) == BLOCK
    end = b"" if not before or before.endswith(b"\n") else b"\n"
    assert replace_block(once, SPEC, b"") == before + end
    later = once + b"0 3 * * * added later\n"
    changed = replace_block(later, SPEC, crontab_block(SPEC, [], {}))
    assert changed.startswith(before)
    assert changed.endswith(b"0 3 * * * added later\n")


@each_row("cut", [0, -1])
def test_a_block_that_has_lost_a_mark_is_not_guessed_at(cut: int) -> None:
    lines = BLOCK.splitlines(keepends=True)
    del lines[cut]
    with pytest.raises(OpsError, match="has lost its first or its last line"):
        replace_block(b"".join(lines), SPEC, BLOCK)
