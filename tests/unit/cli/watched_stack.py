"""`monit` on services that are made up: `python watched_stack.py`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from techsapo_ops.cli.live_monitor import LiveMonitor
from techsapo_ops.cli.output import console
from techsapo_ops.operations.watch.usage import Reading
from techsapo_ops.stack.observed import LogLine

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


class Watched:
    """Three services."""

    def read(self) -> tuple[Reading, ...]:
        return tuple(Reading(n, "running", 1, NOON, 0, 1.0, 2, None) for n in ("redis", "app", "nginx"))

    def log(self, service: str, lines: int) -> Sequence[LogLine]:
        return []

    def restart(self, service: str) -> None:
        raise NotImplementedError


watched = Watched()
LiveMonitor(watched, console(), 0.2, watched.read()).run()
