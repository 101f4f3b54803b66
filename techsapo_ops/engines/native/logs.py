"""Reads the services' log files, rotated ones included, and merges them by time.

From supervisord's own log: how often services ended by themselves.
"""

from __future__ import annotations

import gzip
import heapq
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from techsapo_ops.adapters.log_lines import line_time
from techsapo_ops.stack.observed import LogLine

_BLOCK = 64 * 1024
_LONGEST = 4 * 1024 * 1024
"""Bytes of a line without an end that is followed, from which on it is told in pieces."""
_POLL_SECONDS = 0.2
_START = datetime.fromtimestamp(0, UTC)
_EVENT = re.compile(
    r"^(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+) \w+ "
    r"(?:(?P<start>supervisord started)|(?P<event>exited|stopped): (?P<name>\S+) \()"
)
_EXITS_READ = 256 * 1024
LOOP_EXITS = 3
LOOP_WINDOW = timedelta(seconds=60)


def read(
    folder: Path, services: Sequence[str], *, lines: int | None, since: datetime | None
) -> list[LogLine]:
    """The last `lines` lines (None: all) of the services together, oldest first, from `since` on."""
    parts = [_of_service(folder / f"{name}.log", name, lines, since) for name in services]
    merged = [line for _, line in heapq.merge(*(_keyed(part) for part in parts), key=lambda pair: pair[0])]
    return merged if lines is None else merged[max(len(merged) - lines, 0) :]


def _keyed(lines: Iterable[LogLine]) -> Iterator[tuple[datetime, LogLine]]:
    # A line without a time, such as one of a traceback, stays with the line before it.
    last = _START
    for line in lines:
        last = line.time if line.time is not None else last
        yield last, line


def _of_service(log: Path, name: str, lines: int | None, since: datetime | None) -> list[LogLine]:
    collected: list[LogLine] = []
    for path in (log, *rotated(log)):
        wanted = None if lines is None else lines - len(collected)
        texts = _last_lines(path, wanted)
        part = [LogLine(name, text, line_time(text)) for text in texts]
        collected = part + collected
        first = next((line.time for line in part if line.time is not None), None)
        enough = lines is not None and len(collected) >= lines
        if enough or (since is not None and first is not None and first < since):
            break
    if since is None:
        return collected
    times = [when for when, _ in _keyed(collected)]
    return [line for when, line in zip(times, collected, strict=True) if when >= since]


def rotated(log: Path) -> list[Path]:
    """Rotated files of `log`, newest first."""
    numbered = []
    for path in log.parent.glob(f"{glob_escape(log.name)}.*"):
        number = path.name.removeprefix(f"{log.name}.").removesuffix(".gz")
        if number.isdigit():
            numbered.append((int(number), path))
    return [path for _, path in sorted(numbered)]


def glob_escape(name: str) -> str:
    """`name` as a glob pattern that matches only itself."""
    return re.sub(r"([*?[])", r"[\1]", name)


def _last_lines(path: Path, count: int | None) -> list[str]:
    try:
        if path.name.endswith(".gz"):
            with gzip.open(path, "rb") as packed:
                return _texts(packed.read(), count)
        with path.open("rb") as file:
            return _tail(file, count)
    except FileNotFoundError:  # not started yet, or rotated away meanwhile
        return []


def _tail(file: IO[bytes], count: int | None) -> list[str]:
    position = file.seek(0, os.SEEK_END)
    blocks: list[bytes] = []  # the last one first; joined once, for a line may be longer than many blocks
    ends = 0
    while position > 0 and (count is None or ends <= count):
        step = position if count is None else min(_BLOCK, position)
        position -= step
        file.seek(position)
        blocks.append(file.read(step))
        ends += blocks[-1].count(b"\n")
    return _texts(b"".join(reversed(blocks)), count)


def _texts(data: bytes, count: int | None = None) -> list[str]:
    """The last `count` lines of `data`. Only a line feed ends one: what is logged may hold other ends of
    lines, behind which a client could write a line of its own.
    """
    texts = [line.removesuffix(b"\r").decode(errors="replace") for line in data.split(b"\n")]
    if not texts[-1]:
        texts.pop()
    return texts if count is None else texts[max(len(texts) - count, 0) :]


class Follower:
    """Reads what is appended to one log, over rotations, from its present end on."""

    def __init__(self, path: Path, service: str) -> None:
        self._path = path
        self._service = service
        self._file: IO[bytes] | None = None
        self._rest = b""
        self._open(at_end=True)

    def _open(self, *, at_end: bool) -> None:
        try:
            self._file = self._path.open("rb")
        except FileNotFoundError:
            self._file = None
            return
        if at_end:
            self._file.seek(0, os.SEEK_END)

    def _moved(self) -> bool:
        if self._file is None:
            return True
        try:
            return os.fstat(self._file.fileno()).st_ino != self._path.stat().st_ino
        except FileNotFoundError:  # between rename and reopen
            return False

    def lines(self) -> list[LogLine]:
        """Whole lines written since the last call."""
        moved = self._moved()  # asked first: what came before the move is still in the old file
        data = self._file.read() if self._file is not None else b""
        if moved:
            if self._file is not None:
                self._file.close()
            self._open(at_end=False)
            data += self._file.read() if self._file is not None else b""
        self._rest += data
        whole, end, self._rest = self._rest.rpartition(b"\n")
        if len(self._rest) > _LONGEST:  # no end in sight: it is not kept for ever
            whole, self._rest = whole + end + self._rest, b""
        return [LogLine(self._service, text, line_time(text)) for text in _texts(whole)]

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def follow(folder: Path, services: Sequence[str]) -> Iterator[LogLine]:
    """Lines as they are written, for ever; those of one look at all files are ordered by time."""
    followers = [Follower(folder / f"{name}.log", name) for name in services]
    return _follow(followers)


def _follow(followers: list[Follower]) -> Iterator[LogLine]:
    try:
        while True:
            parts = [follower.lines() for follower in followers]
            for _, line in heapq.merge(*(_keyed(part) for part in parts), key=lambda pair: pair[0]):
                yield line
            time.sleep(_POLL_SECONDS)
    finally:
        for follower in followers:
            follower.close()


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
            file.seek(max(0, size - _EXITS_READ))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return {}
    times: dict[str, list[datetime]] = {}
    for line in text.splitlines():
        match = _EVENT.match(line)
        if match is None:
            continue
        if match["start"]:
            times.clear()
        elif match["event"] == "stopped":
            times.pop(match["name"], None)
        else:
            times.setdefault(match["name"], []).append(datetime.fromisoformat(match["time"]))
    return times


def exits_after(times: list[datetime], start: float) -> list[datetime]:
    """Those of `times` that lie after `start`, in seconds since the epoch."""
    return [t for t in times if t.timestamp() >= start]


def loops(times: list[datetime], now: datetime) -> bool:
    """Whether a program that ended at `times` is in a crash loop at `now` (naive, local)."""
    return len([t for t in times if now - t <= LOOP_WINDOW]) >= LOOP_EXITS
