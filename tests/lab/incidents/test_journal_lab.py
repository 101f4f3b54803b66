"""The journal of a unit, as a real journald has it: in a mount namespace with a /run of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import servers

from techsapo_ops.adapters.process import Command, Completed, SubprocessRunner
from techsapo_ops.incidents.material import Subject
from techsapo_ops.incidents.readers.journald import Journal

JOURNALD = Path("/usr/lib/systemd/systemd-journald")
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0 or not JOURNALD.exists(), reason="needs root and systemd-journald"),
]
UNIT = "shop.service"
# journalctl(1) counts as of a unit what root logs as a crash of it: the one field of a unit that can be sent.
# The form is that of https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
_SENDS = """
import socket, struct, sys
message = sys.stdin.buffer.read()
fields = {"MESSAGE": message, "PRIORITY": sys.argv[1].encode(), "COREDUMP_UNIT": sys.argv[2].encode(),
          "MESSAGE_ID": b"fc2e22bc6ee647b6b90729ab34a250b1"}
entry = b"".join(k.encode() + b"\\n" + struct.pack("<Q", len(v)) + v + b"\\n" for k, v in fields.items())
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(entry, "/run/systemd/journal/socket")
"""


class Inside:
    """A Runner in the namespace of a process."""

    def __init__(self, pid: int) -> None:
        self.enter = ("nsenter", f"--mount=/proc/{pid}/ns/mnt")

    def run(self, command: Command, *, timeout: float = 60.0) -> Completed:
        inside = Command((*self.enter, *command.argv), stdin=command.stdin)
        return SubprocessRunner().run(inside, timeout=timeout)

    def log(self, message: bytes, priority: int = 6, unit: str = UNIT) -> None:
        done = self.run(Command((sys.executable, "-c", _SENDS, str(priority), unit), stdin=message))
        assert done.code == 0, done.output


@pytest.fixture
def journal() -> Iterator[Inside]:
    script = f"mount -t tmpfs none /run && mkdir -p /run/systemd/journal /run/log/journal && exec {JOURNALD}"
    process = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", script])
    inside = Inside(process.pid)
    try:
        there = Command(("test", "-S", "/run/systemd/journal/socket"))
        servers.wait_for(
            lambda: JOURNALD.name in comm(process.pid) and inside.run(there).code == 0, what="journald"
        )
        yield inside
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def comm(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def test_entries_of_the_unit_in_the_window_come_with_their_level_whatever_bytes_they_hold(
    journal: Inside,
) -> None:
    journal.log(b"2026-01-31 12:00:00 ERROR from the text \x1b[31m")
    journal.log(b"from the priority \xff", priority=3)
    journal.log(b"said in passing")
    journal.log(b"debug", priority=7)
    journal.log(b"of another", priority=3, unit="other.service")
    now = datetime.now(UTC)
    reader = Journal(UNIT, journal, "shop")
    subject, minute = Subject(now), timedelta(minutes=1)
    lines = ()

    def came() -> bool:
        nonlocal lines
        lines = reader(subject, now - minute, datetime.now(UTC) + minute).lines
        return len(lines) >= 3

    servers.wait_for(came, what="the entries")
    assert [line.level for line in lines] == ["error", "error", ""]
    assert lines[0].text.endswith("from the text \N{REPLACEMENT CHARACTER}[31m")
    assert lines[2].text == "said in passing"
    assert {line.service for line in lines} == {"shop"}
    assert lines[0].host
    assert reader(subject, now - 3 * minute, now - 2 * minute).lines == ()
