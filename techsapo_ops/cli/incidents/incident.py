"""One incident on the command line: its verdict, and what a person adds to it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import join
from typing import IO, Any

from techsapo_ops.cli.app.orchestrator import Orchestrator
from techsapo_ops.cli.incidents.client import INCIDENTS, posted
from techsapo_ops.cli.output import harmless_values
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

LONGEST = 16_000
"""Characters of an output that the app takes."""
STDIN = Path("-")
_STRIKE = msg('e.g. techsapo why 12 --strike 1 --reason "the disk was full for days"')


@dataclass(frozen=True, slots=True)
class Given:
    """What the options of `why` give to an incident: what a check printed, a cause that it was not, or the
    one that it was.
    """

    output: Path | None = None
    check: str = ""
    strike: int | None = None
    reason: str = ""
    resolve: str | None = None

    def checked(self, about: str) -> bool:
        """Whether anything is given. Raises OpsError for options that do not belong together."""
        chosen = [each is not None for each in (self.output, self.strike, self.resolve)]
        problem, example = "", msg('e.g. techsapo why 12 --resolve "the disk was full"')
        if self.check and self.output is None:
            problem = msg("--check needs --output")
            example = msg("e.g. df -h | techsapo why 12 --check disk_space --output -")
        elif self.reason and self.strike is None:
            problem, example = msg("--reason needs --strike"), _STRIKE
        elif self.strike is not None and not self.reason.strip():
            problem, example = msg("--strike needs --reason, so that later readers know why"), _STRIKE
        elif self.resolve is not None and not self.resolve.strip():
            problem = msg("--resolve needs the cause")
        elif sum(chosen) > 1:
            problem = msg("give one of --output, --strike and --resolve at a time")
        elif any(chosen) and not about.isdecimal():
            problem = msg("--output, --strike and --resolve need the number of an incident")
        if problem:
            raise OpsError(problem, example, exit_code=2)
        return any(chosen)

    def add_to(self, asked: Orchestrator, number: int) -> dict[str, Any]:
        """The incident with this. Raises OpsError with what the app said instead."""
        what, body = "check", dict[str, Any]()
        if self.resolve is not None:
            what, body = "resolve", {"cause": self.resolve}
        elif self.strike is not None:
            what, body = "strike", {"cause": self.strike, "reason": self.reason}
        else:
            body = {"check": self.check, "output": output_in(self.output or STDIN)}
        return posted(asked, f"{INCIDENTS}/{number}/{what}", body)


def output_in(file: Path) -> str:
    """What a check printed into `file`, `-` for standard input. Raises OpsError for none and for too much."""
    try:
        if file == STDIN:
            content = _some(sys.stdin.buffer)
        else:
            with file.open("rb") as opened:
                content = _some(opened)
    except OSError as error:
        raise OpsError(msg("--output {file}: {why}", file=file, why=error.strerror), exit_code=2) from None
    text = content.decode(errors="replace")
    if not text.strip():
        raise OpsError(msg("--output {file}: there is nothing in it", file=file), exit_code=2)
    if len(text) > LONGEST:
        raise OpsError(
            msg("--output {file}: more than {longest} characters", file=file, longest=LONGEST),
            msg("give the part that matters: tail -n 100 FILE | techsapo why 12 --output -"),
            exit_code=2,
        )
    return text


def _some(file: IO[bytes]) -> bytes:
    """No more than can matter: a device never ends."""
    return file.read(4 * LONGEST + 1)


def lines_of(said: Mapping[str, Any], *, of_incident: bool) -> Iterator[str]:
    """The app's answer for a terminal: the verdict; of an incident also its causes and checks, by the number
    and the name that --strike and --check take.
    """
    said = harmless_values(dict(said))
    yield str(said.get("text", ""))
    verdict = said.get("verdict", {}).get("verdict", {})
    if not of_incident or not verdict:
        return
    for number, cause in enumerate(verdict["causes"], 1):
        yield msg(
            "cause {number}: {cause} [{ids}] ({members})",
            number=number, cause=cause["cause"],
            ids=", ".join(cause["evidence"]), members=", ".join(cause["members"]),
        )  # fmt: skip
    for struck in verdict["struck"]:
        yield msg("struck out: {cause} ({reason})", cause=struck["cause"], reason=struck["reason"])
    for check in verdict["checks"]:
        yield msg("check {name}: {command}", name=check["check"], command=join(check["argv"]))
