"""`monit` on services that are made up: `python watched_stack.py [FAULT]`; it prints what was restarted."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from techsapo_ops.cli.live_monitor import LiveMonitor
from techsapo_ops.cli.output import console
from techsapo_ops.errors import OpsError
from techsapo_ops.operations.watch.usage import Reading
from techsapo_ops.stack.observed import LogLine

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@dataclass
class Watched:
    """Three services. `fault` is what goes wrong: `read`, `broken`, `refuses`, `slow` or nothing."""

    fault: str
    restarted: list[str] = field(default_factory=list)
    reads: int = 0

    def read(self) -> tuple[Reading, ...]:
        self.reads += 1
        if self.fault == "read" and self.reads > 1:
            raise OpsError("docker is away", "start it")
        if self.fault == "broken" and self.reads > 1:
            raise ValueError("a mistake of ours")
        return tuple(Reading(n, "running", 1, NOON, 0, 1.0, 2, None) for n in ("redis", "app", "nginx"))

    def log(self, service: str, lines: int) -> Sequence[LogLine]:
        return [LogLine(service, f"{service} 障害の監視 {number} of {lines}") for number in range(self.reads)]

    def restart(self, service: str) -> None:
        if self.fault == "refuses":
            raise OpsError(f"{service} did not become ready\nprobe: refused")
        if self.fault == "slow":
            time.sleep(2)
        self.restarted.append(service)


watched = Watched(sys.argv[1] if len(sys.argv) > 1 else "")
try:
    LiveMonitor(watched, console(), 0.2, watched.read()).run()
finally:
    print("restarted:", *watched.restarted, flush=True)
