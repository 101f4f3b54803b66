"""`monit` on a real terminal, which it leaves as it was; and what it draws fits any size."""

from __future__ import annotations

import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from rich.cells import cell_len
from rows import each_row
from terminal import Screen

from techsapo_ops.cli.views.monitor import Board, drawn
from techsapo_ops.operations.watch.usage import Reading

WATCHED = [sys.executable, str(Path(__file__).with_name("watched_stack.py"))]
NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def test_a_signal_leaves_the_terminal_as_it_was() -> None:
    with Screen(WATCHED) as screen:
        screen.shows("redis", "app", "nginx", "running", "MEMORY")
        screen.process.send_signal(signal.SIGTERM)
        assert screen.ends() != 0
        assert screen.restored


@each_row("width", [1, 20, 80])
@each_row("height", [1, 5, 24])
def test_it_fits_any_terminal(width: int, height: int) -> None:
    names = ("redis", "prometheus-redis-exporter", "障害の監視" * 12)
    readings = (Reading(name, "running", 4242, NOON, 3, 12.5, 95_000_000, 1.5) for name in names)
    lines = [line.plain for line in drawn(Board().with_readings(tuple(readings)), width, height)]
    assert len(lines) == height
    assert max(map(cell_len, lines)) <= width
