"""Audit rows that wait on disk, and whose file is whose while two processes of an instance run."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any

from techsapo_ops.adapters.files import sync_directory, write_atomic
from techsapo_ops.adapters.jsons import dump, load

log = logging.getLogger("techsapo.audit")
_LONG = 4 << 20
"""Bytes of rows that are in the database, from which on the file is written anew without them."""

NAME = "audit-spool.jsonl"
_MOST = 9
"""Processes of one instance that may each have a file."""

DRILL = "drill"
"""Tier and status of the rows of drills, which no report counts: nobody asked, and nobody paid."""


@dataclass(frozen=True, slots=True)
class AuditCall:
    """One call to a provider within a request; `phase` is answer, grade or revise.

    `version` is the vendor's name for the model that answered, "" where nothing says it.
    """

    provider: str
    model: str
    phase: str
    status: str
    cost_usd: float
    tokens_input: int
    tokens_output: int
    milliseconds: int
    version: str = ""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One request. `id` is the row's own (32 hex digits), so that a replay never makes a second row.

    `time` is UTC; `providers` are names; scores are 0 to 1, None where there was no verdict. `threshold` is
    the confidence that the tier asks for. `prompt` is there only where the spec keeps it, masked. `key_id`
    is the API key's, `user_id` its name; `claimed_user` is whom the client named, which proves nothing.
    Where no key is needed, `user_id` is the claim. `cost_usd` is what the request was charged, `calls` what
    it consists of. `sources` are the team's own files of which a part was sent with the prompt. `panel` is
    what its verdict leaves behind to learn from, as JSON; `answer`, masked, is there only where the spec
    keeps it.
    """

    id: str
    time: datetime
    instance: str
    request_id: str
    user_id: str | None = None
    task_type: str = ""
    prompt_hash: str = ""
    providers: tuple[str, ...] = ()
    confidence: float | None = None
    consensus: float | None = None
    accepted: bool | None = None
    simulated: bool = False
    cache: str = "miss"
    cost_usd: float = 0.0
    status: str = ""
    processing_ms: int = 0
    key_id: str | None = None
    prompt: str | None = None
    threshold: float | None = None
    claimed_user: str | None = None
    sources: tuple[str, ...] = ()
    panel: str | None = None
    answer: str | None = None
    calls: tuple[AuditCall, ...] = ()

    def to_json(self) -> bytes:
        """As JSON, on one line."""
        return dump(self, _plain)

    @classmethod
    def from_json(cls, line: str) -> AuditRow:
        """The row of one line; raises ValueError, KeyError or TypeError for anything else."""
        value: dict[str, Any] = load(line)
        value["time"] = datetime.fromisoformat(value["time"])
        value["providers"] = tuple(value["providers"])
        value["sources"] = tuple(value.get("sources", ()))
        value["calls"] = tuple(AuditCall(**call) for call in value.get("calls", ()))
        return cls(**value)


def _plain(value: AuditRow | datetime) -> Any:
    """`value` in the words of the standard library's JSON, which has to do where orjson turns text away."""
    return value.isoformat() if isinstance(value, datetime) else asdict(value)


class Spool:
    """A JSONL file. One thread may add to it while another one replays it; of one process only.

    The file stays with its last row gone: it is used all the time. Raises OSError where it can't be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._start = 0
        """What lies before it is in the database."""
        self._end = path.stat().st_size if path.exists() else 0
        self.rows = sum(1 for _ in self.read())

    def append(self, rows: list[AuditRow]) -> bool:
        """Add rows, to none or to others (False); they are on disk when this returns. Raises OSError."""
        content = b"".join(row.to_json() + b"\n" for row in rows)
        with self._lock:
            new = not self.path.exists()
            descriptor = os.open(
                self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
            with os.fdopen(descriptor, "r+b", buffering=0) as file:
                start = os.fstat(descriptor).st_size
                if start and os.pread(descriptor, 1, start - 1) != b"\n":  # torn by a crash
                    content = b"\n" + content
                try:
                    rest = memoryview(content)
                    while rest:
                        rest = rest[file.write(rest) :]
                    os.fsync(descriptor)
                    if new:
                        sync_directory(self.path.parent)
                except OSError:
                    # Half a batch must not be replayed beside the whole one that the caller keeps.
                    os.ftruncate(descriptor, start)
                    raise
                self._end = start + len(content)
            self.rows += len(rows)
            return self.rows == len(rows)

    def read(self) -> Iterator[AuditRow]:
        """The rows that wait now; a line torn by a crash is passed over and reported."""
        with self._lock:
            place, end = self._start, self._end
        return (row for row, _ in self._lines(place, end))

    def batch(self, after: int, size: int) -> tuple[list[AuditRow], int]:
        """The next `size` rows of those that wait, from byte `after` on, and where the last of them ends.

        With 0 from the first one on. Without rows the place is the end of what can't be read.
        """
        with self._lock:
            place, end = max(after, self._start), self._end
        rows: list[AuditRow] = []
        for row, ends_at in self._lines(place, end):
            rows.append(row)
            if len(rows) == size:
                return rows, ends_at
        return rows, end

    def _lines(self, place: int, end: int) -> Iterator[tuple[AuditRow, int]]:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(place)
            for line in file:
                if place >= end:
                    return
                place += len(line)
                if not line.strip():
                    continue
                try:
                    row = AuditRow.from_json(line.decode(errors="replace"))
                except (ValueError, KeyError, TypeError):
                    log.error(
                        "A spooled audit row can't be read",
                        extra={"file": str(self.path), "ends_at_byte": place},
                    )
                else:
                    yield row, place

    def drop(self, end: int, rows: int, *, closely: bool = False) -> int:
        """Forget the `rows` before `end`, after they are in the database. Raises OSError or OpsError.

        The file is written anew where that is not more than what was forgotten, or `closely`: so that few of
        them are there after a kill -9. Returns by how many bytes what follows them has moved forward.
        """
        with self._lock:
            self.rows -= rows
            self._start = end
            if end == self._end:
                os.truncate(self.path, 0)
                self._start = self._end = 0
                return end
            if end > _LONG and (closely or self._end - end <= end):
                with self.path.open("rb") as file:
                    file.seek(end)
                    rest = file.read()
                write_atomic(self.path, rest, 0o600)
                self._start, self._end = 0, len(rest)
                return end
            return 0

    def close(self) -> None:
        """Remove the file where nothing waits in it. Raises OSError."""
        with self._lock:
            if self.rows == 0 and self._start == self._end:
                self.path.unlink(missing_ok=True)


class Spools:
    """The spool files in an instance's folder, of which this process has one that no other one writes.

    A lock beside a file says that its process lives; the kernel lets it go with the process. Raises OSError.
    """

    def __init__(self, directory: Path) -> None:
        self._files = [directory / NAME, *(directory / f"audit-spool-{n}.jsonl" for n in range(2, _MOST + 1))]
        self._locks: dict[Path, int] = {}
        for file in self._files:
            if self._claim(file):
                self.own = file
                return
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(directory / NAME))

    def left(self) -> Iterator[Path]:
        """Files of processes that ended and left rows, each nobody else's until the next is asked for."""
        for file in self._files:
            if file in self._locks or not file.exists() or not self._claim(file):
                continue
            try:
                if file.exists():  # another one may have had it a moment ago
                    yield file
            finally:
                self._release(file)

    def close(self) -> None:
        """Let go of all."""
        for file in list(self._locks):
            self._release(file)

    def _claim(self, file: Path) -> bool:
        lock = os.open(
            file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        except OSError:
            os.close(lock)
            raise
        self._locks[file] = lock
        return True

    def _release(self, file: Path) -> None:
        with suppress(OSError):
            os.close(self._locks.pop(file))
