"""Audit rows on their way: to disk, and from there into the database; how that one does meanwhile."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field, replace

from techsapo_ops.errors import OpsError
from techsapo_ops.stores.audit.database import database_errors
from techsapo_ops.stores.audit.spool import AuditRow, Spool
from techsapo_ops.stores.audit.store import AuditStore, ClusterStore

log = logging.getLogger("techsapo.audit")

MOST_TOGETHER = 500
TOGETHER = 0.002
"""Seconds in which rows gather after the first one: one flush of the disk is for all of them, and one waking
of this thread, which costs the thread that hands a row over more than anything else."""
BUSY = 0.02
"""Seconds after a flush in which a row is likely not to come alone."""


class Intake:
    """Takes rows from any thread without blocking; a thread of its own puts them into `spool`.

    `landed` is called after rows came to a spool that was empty, `refused` with those that the disk does not
    take; both by that thread. Whoever calls it then says by `tell` what became of them.
    """

    def __init__(
        self, spool: Spool, landed: Callable[[], None], refused: Callable[[list[AuditRow]], None]
    ) -> None:
        self._spool = spool
        self._landed = landed
        self._refused = refused
        self._queue: queue.SimpleQueue[AuditRow | None] = queue.SimpleQueue()
        self._asked: dict[str, Future[bool]] = {}
        self._flushed = float("-inf")
        self._thread = threading.Thread(target=self._run, name="audit intake", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def waiting(self) -> int:
        """Rows that were not looked at yet."""
        return self._queue.qsize()

    def put(self, row: AuditRow) -> Future[bool]:
        """Hand a row over. The future holds whether it is on disk, or in the database."""
        future: Future[bool] = Future()
        self._asked[row.id] = future
        self._queue.put(row)
        return future

    def tell(self, rows: list[AuditRow], *, stored: bool) -> None:
        """Say of rows whether a power cut leaves them; of those of which it was said already nothing."""
        for row in rows:
            future = self._asked.pop(row.id, None)
            if future is not None:
                _say(future, stored=stored)

    def close(self, timeout: float) -> None:
        """Put what waits on disk and stop, within `timeout` seconds."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        open_ = True
        while open_:
            rows, open_ = self._gather()
            if not rows:
                continue
            try:
                first = self._spool.append(rows)
            except OSError as error:
                log.error(
                    "Audit rows can't be put on disk",
                    extra={"file": str(self._spool.path), "error": error.strerror},
                )
                self._refused(rows)
                continue
            self._flushed = time.monotonic()
            self.tell(rows, stored=True)
            if first:
                self._landed()

    def _gather(self) -> tuple[list[AuditRow], bool]:
        rows: list[AuditRow] = []
        row = self._queue.get()
        if row is not None and time.monotonic() - self._flushed < BUSY:
            time.sleep(TOGETHER)
        try:
            while row is not None:
                rows.append(row)
                if len(rows) == MOST_TOGETHER:
                    return rows, True
                row = self._queue.get_nowait()
        except queue.Empty:
            return rows, True
        return rows, False


def _say(future: Future[bool], *, stored: bool) -> None:
    try:
        future.set_result(stored)
    except InvalidStateError:
        return  # whoever waited for it has gone


BATCH = 500
AGAIN = 5.0
"""Seconds until that is tried once more where it failed."""
OVERDUE = 30.0
"""Seconds after which rows that were not seen elsewhere are reported."""
MAYBE_WRITTEN = 5_000
"""How many rows of the spool, from its start, may be in the database as well, from just before a kill -9."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """Rows that the member `writer` took: `end` is where they end in the spool."""

    end: int
    ids: tuple[str, ...]
    writer: int
    at: float


@dataclass(eq=False, slots=True)
class Replay:
    """Brings what is in `spool` into the database by `insert`, which says whether it is there.

    Rows leave the spool when `store` lacks none of them: at once where one database keeps what it took, in a
    cluster when others than the member that took them show them. `dropped` gets how many rows left the
    spool, and whether the disk let them.
    """

    spool: Spool
    insert: Callable[[list[AuditRow]], bool]
    dropped: Callable[[int, Exception | None], None]
    store: AuditStore | ClusterStore
    clock: Callable[[], float] = time.monotonic
    _sent: deque[_Sent] = field(default_factory=deque)
    _after: int = 0
    """Where the spool's rows begin that were not written yet."""
    _reported: bool = False
    _check_at: float = 0.0

    @property
    def written(self) -> int:
        """How many rows of the spool are written, and wait to be seen."""
        return sum(len(each.ids) for each in self._sent)

    @property
    def overdue(self) -> bool:
        """Whether rows that were written have waited too long to be seen."""
        return bool(self._sent) and self.clock() - self._sent[0].at > OVERDUE

    def run(self) -> None:
        """Look for what was written a moment ago, and write what was not yet."""
        if self.clock() >= self._check_at:
            self._check(self.clock() - self.store.settles)
        self._write()
        if not self.store.settles:
            self._check(self.clock())

    def _write(self) -> None:
        room = MAYBE_WRITTEN - self.written
        while room > 0:
            rows, end = self.spool.batch(self._after, min(BATCH, room))
            if not rows or not self.insert(rows):
                return
            self._after = end
            self._sent.append(_Sent(end, tuple(row.id for row in rows), self.store.member, self.clock()))
            room -= len(rows)

    def finish(self) -> None:
        """Look for all that was written; what is not seen is written once more at the next start."""
        self._check(self.clock())

    def _check(self, before: float) -> None:
        while self._sent and self._sent[0].at <= before:
            first = self._sent[0]
            together = [first]
            for each in list(self._sent)[1:]:
                if each.writer != first.writer or each.at > before:
                    break
                together.append(each)
            ids = [id_ for each in together for id_ in each.ids]
            try:
                missing = self.store.lacking(ids, first.writer)
            except database_errors() as error:
                self._wait(error)
                return
            if missing:
                log.warning(
                    "Audit rows that a member took are not in the cluster; they are written again",
                    extra={"rows": len(missing)},
                )
                self._sent.clear()
                self._after = 0
                self._check_at = self.clock() + AGAIN
                return
            self._reported = False
            for _ in together:
                self._sent.popleft()
            self._forget(together[-1].end, len(ids))

    def _forget(self, end: int, rows: int) -> None:
        failure: Exception | None = None
        moved = 0
        try:
            moved = self.spool.drop(end, rows, closely=self.store.settles > 0)
        except (OSError, OpsError) as error:
            failure = error
        self.dropped(rows, failure)
        self._after -= moved
        self._sent = deque(replace(each, end=each.end - moved) for each in self._sent)

    def _wait(self, error: Exception) -> None:
        self._check_at = self.clock() + AGAIN
        if self.overdue and not self._reported:
            self._reported = True
            cause = getattr(error, "orig", None) or error
            log.error(
                "Audit rows can't be read back from another member of the cluster; they stay on disk",
                extra={"error": " ".join(str(cause).split())[:200]},
            )


RETRY = 1.0
"""Seconds between attempts while the database is down."""


class Condition:
    """Of the database at `where`. It is changed by the writer's thread alone, and read from any."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._opened = threading.Event()
        self._retry_at = 0.0
        self.errors = 0
        """Operations that failed in a row."""
        self.last_error = "not opened yet"

    @property
    def well(self) -> bool:
        """Whether it was reached, and failed at nothing since."""
        return self._opened.is_set() and self.errors == 0

    @property
    def due(self) -> bool:
        """Whether it may be asked: it failed at nothing a moment ago."""
        return time.monotonic() >= self._retry_at

    def pause(self) -> None:
        """Leave it alone for a moment."""
        self._retry_at = time.monotonic() + RETRY

    def failed(self, error: Exception) -> None:
        """Take note of a failure; the first one is logged."""
        self.errors += 1
        cause = getattr(error, "orig", None) or error
        self.last_error = " ".join(str(cause).split())[:200] or type(cause).__name__
        self.pause()
        if self.errors == 1:
            log.error(
                "The audit database can't be written; rows wait on disk",
                extra={"database": self._where, "error": self.last_error},
            )

    def worked(self) -> None:
        """Take note of a success; that it is back is logged."""
        if self.errors:
            log.info("The audit database is back", extra={"database": self._where})
        self.errors = 0
        self._opened.set()
