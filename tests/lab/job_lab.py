"""Jobs made of small programs, for tests of what runs them."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from techsapo_ops.adapters.process import Command
from techsapo_ops.jobs.job import Job
from techsapo_ops.jobs.runs import Runs
from techsapo_ops.jobs.wrapper import RunContext

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


@dataclass
class Clock:
    """A wall clock that a test sets."""

    time: datetime = NOON

    def now(self) -> datetime:
        return self.time

    def move(self, **by: float) -> None:
        self.time += timedelta(**by)


@dataclass
class Bench:
    """A context in a temporary folder, and what it was told."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    said: list[str] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    @property
    def context(self) -> RunContext:
        return RunContext(
            Runs(self.folder / "jobs"),
            self.folder / "textfile",
            self.clock.now,
            UTC,
            user="ops",
            pid=1,
            say=self.said.append,
            pause=self.pauses.append,
        )

    @property
    def metrics(self) -> dict[str, float]:
        """Values of the job's textfile, by metric without its prefix."""
        lines = (self.folder / "textfile" / "drift.prom").read_text(encoding="utf-8").splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {n.partition("{")[0].removeprefix("techsapo_job_"): float(v) for n, v in pairs}


def job(timeout: float = 20, *, retries: int = 0, at: str | None = "0 2 * * *") -> Job:
    """The job `drift` at two o'clock."""
    return Job("drift", timeout, retries, 10, at)


def python(code: str) -> Command:
    """A program of a few lines."""
    return Command((sys.executable, "-I", "-c", code))


def handing_back(summary: str, *, code: int = 0, error: str = "") -> Command:
    """A program that prints a line and hands back a result."""
    data = {"summary": summary, "samples": [], "exit_code": code, "error": error}
    return python(
        "import os, sys\nprint('at work')\n"
        f"os.write(int(os.environ['TECHSAPO_RESULT_FD']), {json.dumps(data)!r}.encode())\n"
        f"sys.exit({code})"
    )
