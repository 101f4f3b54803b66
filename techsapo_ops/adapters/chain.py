"""A file of JSON lines that is only ever added to: each names the SHA-256 of the line before it.

A line that was changed, removed or inserted does not fit those after it. Whoever may write the file can cut
its end off or write all of it anew: only a digest that was noted elsewhere gives that away.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fcntl import LOCK_EX, LOCK_SH, flock
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.folders import open_file, opened, write_hint
from techsapo_ops.errors import OpsError
from techsapo_ops.messages import msg

_BEFORE_THE_FIRST = "0" * 64
"""What the first record names as the digest before it."""


@dataclass(frozen=True, slots=True)
class Head:
    """A record by its number, which is that of its line, and the SHA-256 of that line."""

    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class Link:
    """One line: which it is, when it was written (UTC) and what it says."""

    head: Head
    time: datetime
    content: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Break:
    """The line at which a chain does not hold, and why."""

    line: int
    why: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a chain's file holds, and where it does not hold.

    `head` is the last whole line. `torn` bytes after it are of a write that a power cut or a kill cut short.
    """

    records: tuple[Link, ...] = ()
    breaks: tuple[Break, ...] = ()
    head: Head | None = None
    torn: int = 0


class Chain:
    """The chain in a folder that is its owner's alone (0700), as its file is (0600).

    `owner` (uid, gid) is given both where they are made by another user, which can only be root.
    """

    RECORD = "record.jsonl"
    """Name of its file."""

    def __init__(self, folder: Path, owner: tuple[int, int] | None = None) -> None:
        self.path = folder / self.RECORD
        self._owner = owner

    def read(self) -> Reading:
        """All of it, checked. Raises OpsError where it can't be read."""
        try:
            descriptor = open_file(self.path, os.O_RDONLY)
            try:
                flock(descriptor, LOCK_SH)  # it goes with the descriptor
                return reading_of(_all_of(descriptor))
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            return Reading()
        except OSError as error:
            raise self._cannot(msg("read"), error) from None

    def append(self, content: Mapping[str, Any]) -> Head:
        """Add a record, which is on disk when this returns. Raises OpsError; then nothing was added."""
        try:
            with opened(self.path.parent, make=0o700) as folder:
                new = not self.path.exists()
                descriptor = open_file(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
                try:
                    if self._owner is not None:
                        os.fchown(folder, *self._owner)
                        os.fchown(descriptor, *self._owner)
                    flock(descriptor, LOCK_EX)
                    head = _add(descriptor, content)
                    if new:
                        os.fsync(folder)
                finally:
                    os.close(descriptor)
        except OSError as error:
            raise self._cannot(msg("write"), error) from None
        return head

    def _cannot(self, what: str, error: OSError) -> OpsError:
        return OpsError(
            msg("cannot {what} {path}: {strerror}", what=what, path=self.path, strerror=error.strerror),
            write_hint(error),
        )


def reading_of(data: bytes) -> Reading:
    """The records of `data`, a whole file, and what is wrong with them."""
    records: list[Link] = []
    breaks: list[Break] = []
    head: Head | None = None
    *lines, torn = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        before, head = head, Head(number, hashlib.sha256(line).hexdigest())
        record = _record(line, head)
        if record is None:
            breaks.append(Break(number, msg("this line is not a record")))
            continue
        if record.content.get("previous") != _digest(before):
            breaks.append(Break(number, msg("this record does not match the record before it")))
        records.append(record)
    return Reading(tuple(records), tuple(breaks), head, len(torn))


def _record(line: bytes, head: Head) -> Link | None:
    """What a line says; None where it is no record."""
    try:
        content = json.loads(line)
        when = datetime.fromisoformat(content.pop("time"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return Link(head, when, content) if when.tzinfo is not None else None


def _digest(head: Head | None) -> str:
    return head.hash if head is not None else _BEFORE_THE_FIRST


def _add(descriptor: int, content: Mapping[str, Any]) -> Head:
    """Write a record behind the last whole line, and in place of what a write before left unfinished.

    A chain that is broken goes on, whatever its last line is: its break stays to be seen. Raises OSError.
    """
    data = _all_of(descriptor)
    reading = reading_of(data)
    size = len(data) - reading.torn
    when = datetime.now(UTC).isoformat(timespec="milliseconds")
    # In ASCII: what others named, such as a comment, can hold no line break and nothing for a terminal.
    line = json.dumps(
        {"time": when, "previous": _digest(reading.head), **content}, separators=(",", ":")
    ).encode()
    try:
        os.ftruncate(descriptor, size)
        left = memoryview(line + b"\n")
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise
    return Head(
        reading.head.sequence + 1 if reading.head is not None else 1, hashlib.sha256(line).hexdigest()
    )


def _all_of(descriptor: int) -> bytes:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        return file.read()
