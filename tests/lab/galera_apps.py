"""Apps that write an audit log, each on the network of one member of a MariaDB cluster."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import warm
from galera_lab import Cluster, Member
from servers import wait_for

HERE = Path(__file__).parent
RATE = 20
"""Rows that one writes in a second."""


@dataclass
class App:
    """An audit log that is written on one member's network, or labels by another `script`."""

    folder: Path
    member: Member
    names: list[str]
    script: str = "galera_writer.py"
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        network = str(self.member.holder.pid)
        argv = [sys.executable, HERE / self.script, network, self.folder, str(RATE), *self.names]
        with (self.folder / "log").open("ab") as log:
            self.process = warm.popen(argv, stdout=log, stderr=log, start_new_session=True)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    def end(self) -> None:
        """Until nothing waits on its disk."""
        (self.folder / "end").touch()
        assert self.process is not None
        assert self.process.wait(240) == 0, (self.folder / "log").read_text()[-3000:]

    def acked(self) -> list[str]:
        file = self.folder / "acked"
        return [line for line in file.read_text().split("\n")[:-1] if line] if file.exists() else []

    def written(self) -> int:
        file = self.folder / "written"
        return sum(int(line.split()[1]) for line in file.read_text().splitlines()) if file.exists() else 0

    def stall(self, since: float) -> float:
        """The longest time, in seconds, without a row that reached the database, after `since`."""
        lines = (self.folder / "written").read_text().splitlines()
        times = [since, *(at for line in lines if (at := float(line.split()[0])) >= since)]
        return max(after - before for before, after in itertools.pairwise(times))

    def more(self, count: int = 10) -> None:
        """Until the database has taken `count` more rows."""
        before = self.written()
        wait_for(lambda: self.written() >= before + count, timeout=240, what="more rows in the database")


@contextmanager
def app(folder: Path, running: Cluster, own: int, script: str = App.script) -> Iterator[App]:
    """One that writes on the network of the member of that number, to that one first."""
    (place := folder / f"{Path(script).stem}-{own}").mkdir()
    names = [member.name for member in running.members]
    writing = App(place, running.members[own], [names[own], *(n for n in names if n != names[own])], script)
    writing.start()
    try:
        writing.more()
        yield writing
    finally:
        writing.kill()


def rows(member: Member) -> list[str]:
    return [
        line[0]
        for line in member.sql("SET wsrep_sync_wait = 1; SELECT id FROM techsapo_audit.audit_requests")
    ]
