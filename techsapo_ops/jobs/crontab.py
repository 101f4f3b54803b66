"""The block of one stack's jobs in a crontab, as text.

Everything outside the block stays byte for byte. The block sets no variables of the crontab: they would hold
for every line after it, the user's own included; each command gets its environment by env(1).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.templates import printable

LONGEST_COMMAND = 998
"""What cron takes of a line's command (MAX_COMMAND in its source, with its NUL)."""
_RUNS = re.compile(rb" jobs run ([a-z0-9_-]+) ")


@dataclass(frozen=True, slots=True)
class Line:
    """One job's line: its name, its cron expression and the words of its command."""

    job: str
    at: str
    argv: Sequence[str]


def crontab_block(spec_file: Path, lines: Sequence[Line], environment: Mapping[str, str]) -> bytes:
    """The block of the stack whose spec is `spec_file`. Raises OpsError for what no crontab can hold."""
    begin, end = _marks(spec_file)
    body = [f"{line.at} {_command(line, environment)}" for line in lines]
    note = "# Made by `techsapo cron install`: change `schedule` in the spec instead."
    return "\n".join([begin, note, *body, end, ""]).encode()


def replace_block(crontab: bytes, spec_file: Path, block: bytes) -> bytes:
    """`crontab` with this stack's block in place of its old one, or at the end; without it for b""."""
    span = _span(spec_file, crontab)
    if span is not None:
        return crontab[: span[0]] + block + crontab[span[1] :]
    gap = b"" if not crontab or crontab.endswith(b"\n") or not block else b"\n"
    return crontab + gap + block


def find_block(crontab: bytes, spec_file: Path) -> bytes:
    """This stack's block, with both its marks; nothing where there is none."""
    span = _span(spec_file, crontab)
    return b"" if span is None else crontab[slice(*span)]


def jobs_in(block: bytes) -> frozenset[str]:
    """The jobs that a block starts."""
    return frozenset(name.decode() for name in _RUNS.findall(block))


def _span(spec_file: Path, crontab: bytes) -> tuple[int, int] | None:
    """Where the block begins and ends, if it is there. Raises OpsError for one that has lost a mark."""
    begin, end = (mark.encode() + b"\n" for mark in _marks(spec_file))
    starts = [m.start() for m in re.finditer(rb"^" + re.escape(begin), crontab, re.MULTILINE)]
    ends = [m.end() for m in re.finditer(rb"^" + re.escape(end), crontab, re.MULTILINE)]
    if not starts and not ends:
        return None
    if len(starts) != 1 or len(ends) != 1 or ends[0] < starts[0]:
        raise OpsError(
            msg("the crontab's block of {spec_file} has lost one of its marks", spec_file=spec_file),
            msg(
                "with `crontab -e` remove what is left of it, from {begin} on",
                begin=repr(begin.decode().strip()),
            ),
        )
    return starts[0], ends[0]


def _marks(spec_file: Path) -> tuple[str, str]:
    name = printable(str(spec_file))
    return f"# >>> techsapo jobs of {name}", f"# <<< techsapo jobs of {name}"


def _command(line: Line, environment: Mapping[str, str]) -> str:
    words = ["env", *(f"{name}={value}" for name, value in environment.items()), *line.argv]
    command = " ".join(cron_quote(word) for word in words)
    if len(command.encode()) > LONGEST_COMMAND:
        raise OpsError(
            msg(
                "job {job}: cron takes no command of {count} bytes", job=line.job, count=len(command.encode())
            ),
            msg(
                "shorten PATH or the project's folder: {longest_command} is the most",
                longest_command=LONGEST_COMMAND,
            ),
        )
    return command


def cron_quote(word: str) -> str:
    """`word` for the shell, within a crontab.

    Cron reads `%` as the end of the command, also between quotes, and takes a backslash before it away
    (crontab(5)). A backslash of the word's own stands between quotes, so that it never comes before one.
    """
    if not word:
        return "''"
    return r"\%".join(shlex.quote(part) if part else "" for part in printable(word).split("%"))
