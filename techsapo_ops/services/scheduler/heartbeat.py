"""The scheduler's heartbeat: a metric that it writes from its own loop, and that `health` reads as well.

A file tells of a process that hangs or was suspended, whose container or PID looks well.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from techsapo_ops.adapters.folders import opened
from techsapo_ops.adapters.probe import ProbeResult
from techsapo_ops.adapters.textfile import Sample, read_textfile, textfile_path, write_textfile
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg
from techsapo_ops.stack.layout import SCHEDULER

METRIC = "techsapo_scheduler_heartbeat_timestamp_seconds"
SILENT_SECONDS = 180.0
"""Seconds without a heartbeat after which it hangs or does not run; it writes one every 15 s."""


def beat(textfiles: Path) -> None:
    """Write one into the folder `textfiles`. Raises OpsError when it can't be written."""
    write_textfile(textfiles, SCHEDULER, [Sample(METRIC, round(time.time(), 3))])


def forget(textfiles: Path) -> None:
    """Remove it, as the scheduler ends; one that was killed, or may not, leaves it."""
    with suppress(OSError), opened(textfiles) as folder:
        os.unlink(textfile_path(textfiles, SCHEDULER).name, dir_fd=folder)


def last_beat(textfiles: Path) -> ProbeResult:
    """Whether the last one is younger than SILENT_SECONDS. Raises nothing for what it finds."""
    started = time.monotonic()
    try:
        beats = [s.value for s in read_textfile(textfiles, SCHEDULER) if s.metric == METRIC]
    except OpsError as error:
        return ProbeResult(False, error.message, time.monotonic() - started)
    age = time.time() - max(beats, default=0.0)
    if not beats:
        detail = msg("no heartbeat of the scheduler")
    elif age < SILENT_SECONDS:
        detail = msg("last heartbeat {age:.0f} s ago", age=max(age, 0.0))
    else:
        detail = msg("no heartbeat for {age:.0f} s: the scheduler hangs, or does not run", age=age)
    return ProbeResult(bool(beats) and age < SILENT_SECONDS, detail, time.monotonic() - started)
