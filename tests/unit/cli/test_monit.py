"""`monit` on a terminal: a table that goes on until it is ended, and a terminal that is left as it was."""

from __future__ import annotations

import signal
import sys

from rows import each_row
from terminal import Screen

WATCHED = """
from datetime import UTC, datetime
from techsapo_ops.cli.watch import monit
from techsapo_ops.errors import OpsError
from techsapo_ops.watch.usage import Reading

class Away:
    looked = 0
    def read(self):
        self.looked += 1
        if 2 <= self.looked <= 10:
            raise OpsError("Docker does not answer")
        noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
        cpu = 1.0 if self.looked == 1 else 99.0
        return tuple(Reading(name, "running", 1, noon, 0, cpu, 2, None) for name in ("redis", "app"))

away = Away()
monit._INTERVAL = 0.2
monit._live(away, away.read())
"""


@each_row("number", [signal.SIGINT, signal.SIGTERM])
def test_it_goes_on_after_a_reading_that_failed_and_leaves_the_terminal_as_it_was(number: int) -> None:
    with Screen([sys.executable, "-c", WATCHED]) as screen:
        screen.shows("redis", "app", "running", "1.0 %", "Docker does not answer")
        screen.shows("99.0 %")
        screen.process.send_signal(number)
        assert screen.ends() == 0
        assert screen.restored
