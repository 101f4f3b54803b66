"""The schedule as a block of the host's crontab.

Everything outside the stack's block of a crontab stays byte for byte. The block sets no variables of the
crontab: they would hold for every line after it, the user's own included; each command gets its environment
by env(1).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from techsapo_ops.adapters.units import Crontab
from techsapo_ops.errors import OpsError
from techsapo_ops.jobs.job import Job, JobResult
from techsapo_ops.jobs.runs import configured_jobs
from techsapo_ops.jobs.wrapper import RunContext, export
from techsapo_ops.messages import msg
from techsapo_ops.spec.models.upkeep import Schedule
from techsapo_ops.stack.templates import printable

Argv = Callable[[str], Sequence[str]]
"""The command that runs the job of that name."""


def scheduled(schedule: Schedule) -> tuple[Job, ...]:
    """The jobs that have a time, in the catalogue's order."""
    return tuple(job for job in configured_jobs(schedule).values() if job.at is not None)


def announce(schedule: Schedule, context: RunContext) -> None:
    """Write when each job is due next, so that a job that never runs is missed; others are no longer due.

    Raises OpsError when a textfile can't be written.
    """
    for job in configured_jobs(schedule).values():
        last = context.runs.last(job.name)
        wanted = job if schedule.by != "none" else replace(job, at=None)
        if wanted.at is not None or last is not None:
            export(wanted, last, JobResult(), context)


@dataclass(frozen=True, slots=True)
class CronTable:
    """The stack's block in a crontab."""

    crontab: Crontab
    spec_file: Path
    jobs: tuple[Job, ...]
    argv: Argv
    environment: Mapping[str, str]

    def install(self, only: frozenset[str] | None = None) -> bool:
        """Write the block, False where it was there already; `only` these jobs and those that are in it.

        Everything else in the crontab stays byte for byte.
        """
        there = jobs_in(find_block(self.crontab.read(), self.spec_file))
        return self._put(self._block(None if only is None else only | there))

    def remove(self) -> bool:
        """Take the block away; False where there was none."""
        return self._put(b"")

    def _put(self, block: bytes) -> bool:
        before = self.crontab.read()
        after = replace_block(before, self.spec_file, block)
        if after != before:
            self.crontab.write(after)
        return after != before

    def _block(self, only: frozenset[str] | None = None) -> bytes:
        chosen = [job for job in self.jobs if only is None or job.name in only]
        lines = [Line(job.name, job.at or "", self.argv(job.name)) for job in chosen]
        return crontab_block(self.spec_file, lines, self.environment)


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
            msg(
                "in the crontab, the block of {spec_file} has lost its first or its last line",
                spec_file=spec_file,
            ),
            msg(
                "with `crontab -e`, remove the rest of the block that begins with {begin}",
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
                "job {job}: cron does not accept a command of {count} bytes",
                job=line.job,
                count=len(command.encode()),
            ),
            msg(
                "shorten PATH or the path of the project: cron accepts at most {longest_command} bytes",
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
