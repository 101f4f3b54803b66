"""How often services ended by themselves, read from supervisord's own log."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

_EVENT = re.compile(
    r"^(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+) \w+ "
    r"(?:(?P<start>supervisord started)|(?P<event>exited|stopped): (?P<name>\S+) \()"
)
_READ = 256 * 1024
LOOP_EXITS = 3
LOOP_WINDOW = timedelta(seconds=60)


def exits(log: Path) -> dict[str, list[datetime]]:
    """When each program ended unasked since it was last stopped on purpose, or since supervisord began.

    A program that was given up and then started by hand has not been stopped: pass the result through
    `after`.

    Reads the last 256 KiB of `log`; a missing file is an empty one. Times are naive and local, as
    supervisord writes them.
    """
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _READ))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return {}
    found: dict[str, list[datetime]] = {}
    for line in text.splitlines():
        match = _EVENT.match(line)
        if match is None:
            continue
        if match["start"]:
            found.clear()
        elif match["event"] == "stopped":
            found.pop(match["name"], None)
        else:
            found.setdefault(match["name"], []).append(datetime.fromisoformat(match["time"]))
    return found


def after(times: list[datetime], start: float) -> list[datetime]:
    """Those of `times` that lie after `start`, in seconds since the epoch."""
    return [t for t in times if t.timestamp() >= start]


def loops(times: list[datetime], now: datetime) -> bool:
    """Whether a program that ended at `times` is in a crash loop at `now` (naive, local)."""
    return len([t for t in times if now - t <= LOOP_WINDOW]) >= LOOP_EXITS
